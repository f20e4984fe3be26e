"""The mathematics: losses, penalties, rules of play, the state and the step."""
