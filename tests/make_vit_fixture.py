"""Makes what the tests keep of DINOv2's and CLIP's own code.

  PYTHONPATH=DINOV2 python tests/make_vit_fixture.py

vit_fixture.npz holds what two small networks of either say of two images, the
names and shapes of their arrays, and a table of positions as DINOv2 shrinks it.

Needs torch, torchvision, transformers and, at DINOV2, the repository
facebookresearch/dinov2, which no test does. Weights and images are drawn from
generators that are seeded by their names, so that only the answers are kept.
Images are resized by torchvision's Resize of Pillow's images, as Stein et al.
2023 do.
"""

import pathlib
from collections.abc import Mapping

import make_inception_fixture as seeds
import numpy as np

PATH = pathlib.Path(__file__).with_name('vit_fixture.npz')

# Of the small networks. DINOv2's positions are shrunk from 5 x 5 to 3 x 3.
WIDTH, DEPTH, HEADS, PATCH = 24, 2, 3, 14
OLD, SIDE = 70, 42
PROJECTED = 10


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Of a size at which every part matters, float32."""
  arrays = {}
  for name, shape in shapes.items():
    array = seeds.rng(name).standard_normal(shape)
    if 'norm' in name and name.endswith('weight'):
      array = 1 + 0.2 * array
    elif len(shape) > 1 and 'embed' not in name and 'token' not in name:
      array *= (1 / np.prod(shape[1:])) ** 0.5
    else:
      array *= 0.5
    arrays[name] = array.astype(np.float32)
  return arrays


def images() -> np.ndarray:
  """`[2, 40, 40, 3]` uint8: noise, of which one half is smooth."""
  noise = seeds.rng('images').uniform(size=(2, 40, 40, 3))
  noise[:, 20:] = np.cumsum(noise[:, 20:], axis=2) / 40
  return (255 * noise).astype(np.uint8)


def save_answers() -> None:
  import torch
  import transformers
  from dinov2.models import vision_transformer
  from torchvision import transforms

  def seeded(network: torch.nn.Module) -> str:
    state = network.state_dict()
    shapes = {
      name: tuple(x.shape)
      for name, x in state.items()
      if not name.endswith('position_ids')
    }
    tensors = {n: torch.from_numpy(x) for n, x in weights(shapes).items()}
    network.load_state_dict(tensors, strict=False)
    network.eval()
    return '\n'.join(
      f'{name} {" ".join(map(str, shape))}' for name, shape in shapes.items()
    )

  def ready(mean: list[float], std: list[float]) -> torch.Tensor:
    steps = transforms.Compose(
      [
        transforms.ToPILImage(),
        transforms.Resize((SIDE, SIDE), transforms.InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize(mean, std),
      ]
    )
    return torch.stack([steps(image) for image in images()])

  dino = vision_transformer.DinoVisionTransformer(
    img_size=OLD, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH,
    num_heads=HEADS, init_values=1.0, block_chunks=0,
  )  # fmt: skip
  dino_shapes = seeded(dino)
  clip = transformers.CLIPVisionModelWithProjection(
    transformers.CLIPVisionConfig(
      hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=DEPTH,
      num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH,
      projection_dim=PROJECTED, hidden_act='quick_gelu',
    )
  )  # fmt: skip
  clip_shapes = seeded(clip)
  with torch.no_grad():
    x = ready([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    features = dino(x).numpy()
    # The published table's own shape: 37 x 37 for 518 pixels, seen at 224.
    table = seeds.rng('table').standard_normal((1, 37 * 37 + 1, 2))
    dino.pos_embed = torch.nn.Parameter(torch.from_numpy(np.float32(table)))
    tokens = torch.zeros(1, 16 * 16 + 1, 2)
    shrunk = dino.interpolate_pos_encoding(tokens, 224, 224)[0, 1:]
    mean = [0.48145466, 0.4578275, 0.40821073]
    std = [0.26862954, 0.26130258, 0.27577711]
    embeddings = clip(ready(mean, std)).image_embeds
    embeddings /= torch.linalg.norm(embeddings, dim=-1, keepdim=True)
  np.savez_compressed(
    PATH, dino=features, clip=embeddings.numpy(), shrunk=shrunk.numpy(),
    dino_shapes=np.array(dino_shapes), clip_shapes=np.array(clip_shapes),
  )  # fmt: skip
  print(f'{PATH}: {PATH.stat().st_size} bytes')
  print(dino_shapes, clip_shapes, features[:, :4], embeddings[:, :4], sep='\n')


if __name__ == '__main__':
  save_answers()
