"""Diagnostics: why a system answers as it does, where measures only say how well.

Hubs, crowded vectors, dead codes, ids that drift, training that computes with something else than what
inference looks up, and who pays for it among rarely wanted documents. Pure functions of arrays and rankings.
"""

from retrograd.evaluation.diagnostics.agreement import (
    Agreement,
    LevelAgreement,
    Relaxation,
    train_inference_agreement,
)
from retrograd.evaluation.diagnostics.codes import (
    Capacity,
    CodeHealth,
    Drift,
    VectorSpace,
    code_capacity,
    code_health,
    drift,
    first_keys,
    health_of_codes,
)
from retrograd.evaluation.diagnostics.decoding import (
    BeamSettings,
    DecodingDiagnosis,
    decoder_of,
    diagnose_decoding,
)
from retrograd.evaluation.diagnostics.decoding_figures import decoding_figure, print_decoding
from retrograd.evaluation.diagnostics.divergence import StepDivergence, step_divergence
from retrograd.evaluation.diagnostics.estimators import EstimatorBias, estimator_bias
from retrograd.evaluation.diagnostics.gradients import (
    GradientDraws,
    GradientSummary,
    gradient_draws,
    gradient_summary,
)
from retrograd.evaluation.diagnostics.hubness import (
    Hubness,
    gini,
    hubness,
    nearest_rows,
    occurrences_in,
    occurrences_of_rows,
    skewness,
)
from retrograd.evaluation.diagnostics.isotropy import (
    Isotropy,
    alignment,
    effective_rank,
    iso_score,
    isotropy,
    mean_cosine,
    partition_ratio,
    uniformity,
)
from retrograd.evaluation.diagnostics.norms import NormFrequency, norm_against_frequency, spearman
from retrograd.evaluation.diagnostics.overlap import NeighbourOverlap, neighbour_overlap
from retrograd.evaluation.diagnostics.plots import gradient_figure, plot_diagnosis
from retrograd.evaluation.diagnostics.popularity import AuditSettings, PopularityAudit, audit_popularity
from retrograd.evaluation.diagnostics.report import Audience, Diagnosis, Reference, Settings, diagnose
from retrograd.evaluation.diagnostics.subject import CodeModel, Subject, subject_of, subject_of_run
from retrograd.evaluation.diagnostics.task_gradients import gradient_cosine, gradient_of

__all__ = [
    "Agreement",
    "Audience",
    "AuditSettings",
    "BeamSettings",
    "Capacity",
    "CodeHealth",
    "CodeModel",
    "DecodingDiagnosis",
    "Diagnosis",
    "Drift",
    "EstimatorBias",
    "GradientDraws",
    "GradientSummary",
    "Hubness",
    "Isotropy",
    "LevelAgreement",
    "NeighbourOverlap",
    "NormFrequency",
    "PopularityAudit",
    "Reference",
    "Relaxation",
    "Settings",
    "StepDivergence",
    "Subject",
    "VectorSpace",
    "alignment",
    "audit_popularity",
    "code_capacity",
    "code_health",
    "decoder_of",
    "decoding_figure",
    "diagnose",
    "diagnose_decoding",
    "drift",
    "effective_rank",
    "estimator_bias",
    "first_keys",
    "gini",
    "gradient_cosine",
    "gradient_draws",
    "gradient_figure",
    "gradient_of",
    "gradient_summary",
    "health_of_codes",
    "hubness",
    "iso_score",
    "isotropy",
    "mean_cosine",
    "nearest_rows",
    "neighbour_overlap",
    "norm_against_frequency",
    "occurrences_in",
    "occurrences_of_rows",
    "partition_ratio",
    "plot_diagnosis",
    "print_decoding",
    "skewness",
    "spearman",
    "step_divergence",
    "subject_of",
    "subject_of_run",
    "train_inference_agreement",
    "uniformity",
]
