"""What a small CLIP is made of, and how others would write it down."""

import torch

CONFIG = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 128, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
TEXTS = ["a photo of a cat", "an umbrella"]


def hugging_face_weights(clip):
    """The names that `transformers` gives the weights of a CLIPModel, written out."""
    state = clip.state_dict()
    weights = {
        "logit_scale": state["logit_scale"],
        "visual_projection.weight": state["visual.proj"].T,
        "text_projection.weight": state["text_projection"].T,
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
        "vision_model.embeddings.position_ids": torch.arange(17)[None],
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
    }
    for kind in ("weight", "bias"):
        weights[f"vision_model.pre_layrnorm.{kind}"] = state[f"visual.ln_pre.{kind}"]
        weights[f"vision_model.post_layernorm.{kind}"] = state[f"visual.ln_post.{kind}"]
        weights[f"text_model.final_layer_norm.{kind}"] = state[f"ln_final.{kind}"]
        for theirs, ours, layers in (
            ("vision_model", "visual.transformer", 3),
            ("text_model", "transformer", 2),
        ):
            for i in range(layers):
                layer, block = f"{theirs}.encoder.layers.{i}", f"{ours}.resblocks.{i}"
                q, k, v = state[f"{block}.attn.in_proj_{kind}"].chunk(3)
                weights[f"{layer}.self_attn.q_proj.{kind}"] = q
                weights[f"{layer}.self_attn.k_proj.{kind}"] = k
                weights[f"{layer}.self_attn.v_proj.{kind}"] = v
                weights[f"{layer}.self_attn.out_proj.{kind}"] = state[f"{block}.attn.out_proj.{kind}"]
                weights[f"{layer}.layer_norm1.{kind}"] = state[f"{block}.ln_1.{kind}"]
                weights[f"{layer}.layer_norm2.{kind}"] = state[f"{block}.ln_2.{kind}"]
                weights[f"{layer}.mlp.fc1.{kind}"] = state[f"{block}.mlp.c_fc.{kind}"]
                weights[f"{layer}.mlp.fc2.{kind}"] = state[f"{block}.mlp.c_proj.{kind}"]
    return {key: value.contiguous() for key, value in weights.items()}


def hugging_face_config():
    return {
        "model_type": "clip",
        "projection_dim": 64,
        "vision_config": {
            "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 512,
            "patch_size": 16, "image_size": 64, "hidden_act": "quick_gelu",
        },
        "text_config": {
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 256,
            "max_position_embeddings": 16, "vocab_size": 49408, "hidden_act": "quick_gelu",
        },
    }  # fmt: skip


class Holder(torch.nn.Module):
    """A module whose only content is a state dict, to be saved as a TorchScript archive."""

    def __init__(self, state):
        super().__init__()
        for name in {key.partition(".")[0] for key in state}:
            if name in state:
                self.register_buffer(name, state[name])
            else:
                inner = {key[len(name) + 1 :]: value for key, value in state.items() if key.startswith(name + ".")}
                self.add_module(name, Holder(inner))

    def forward(self, x: torch.Tensor):
        return x
