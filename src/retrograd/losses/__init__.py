"""Pure loss functions of tensors; they know neither models, batches nor retrieval."""

from retrograd.losses.consistency import symmetric_kl
from retrograd.losses.contrastive import in_batch_contrastive, infonce
from retrograd.losses.distillation import listwise_distillation
from retrograd.losses.listwise import list_mle, listnet
from retrograd.losses.many_classes import inner_product_cross_entropy
from retrograd.losses.marginal import marginal_nll, posterior_distillation, renyi_bound
from retrograd.losses.ndcg import approx_ndcg, lambda_rank, neural_ndcg
from retrograd.losses.pairwise import ranknet
from retrograd.losses.policy import reinforce
from retrograd.losses.routing import expected_cost
from retrograd.losses.sequence import token_cross_entropy

__all__ = [
    "approx_ndcg",
    "expected_cost",
    "in_batch_contrastive",
    "infonce",
    "inner_product_cross_entropy",
    "lambda_rank",
    "list_mle",
    "listnet",
    "listwise_distillation",
    "marginal_nll",
    "neural_ndcg",
    "posterior_distillation",
    "ranknet",
    "reinforce",
    "renyi_bound",
    "symmetric_kl",
    "token_cross_entropy",
]
