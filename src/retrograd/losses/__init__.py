"""Pure loss functions of tensors; they know neither models, batches nor retrieval."""

from retrograd.losses.consistency import symmetric_kl
from retrograd.losses.contrastive import in_batch_contrastive
from retrograd.losses.distillation import listwise_distillation
from retrograd.losses.sequence import token_cross_entropy

__all__ = ["in_batch_contrastive", "listwise_distillation", "symmetric_kl", "token_cross_entropy"]
