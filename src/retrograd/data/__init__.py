"""Collections from files, their splits, and the examples cut from them.

The names below are the package's public face; no tensor library is imported here.
"""

from __future__ import annotations

from retrograd.data.beir import read_corpus as read_corpus
from retrograd.data.beir import read_qrels as read_qrels
from retrograd.data.beir import read_queries as read_queries
from retrograd.data.both_tasks import load_both_tasks as load_both_tasks
from retrograd.data.dataset import Dataset as Dataset
from retrograd.data.dataset import load_dataset as load_dataset
from retrograd.data.examples import DocumentText as DocumentText
from retrograd.data.examples import ExampleContext as ExampleContext
from retrograd.data.examples import Examples as Examples
from retrograd.data.examples import ExampleSource as ExampleSource
from retrograd.data.examples import MinedNegatives as MinedNegatives
from retrograd.data.examples import NextItem as NextItem
from retrograd.data.examples import PseudoQueries as PseudoQueries
from retrograd.data.examples import TermBag as TermBag
from retrograd.data.examples import Titles as Titles
from retrograd.data.examples import TrainQueries as TrainQueries
from retrograd.data.interactions import Interactions as Interactions
from retrograd.data.interactions import read_interactions as read_interactions
from retrograd.data.interactions import read_popularity as read_popularity
from retrograd.data.ir_datasets_adapter import load_ir_dataset as load_ir_dataset
from retrograd.data.named_columns import Columns as Columns
from retrograd.data.named_columns import read_documents as read_documents
from retrograd.data.named_columns import read_plain_queries as read_plain_queries
from retrograd.data.query_generation import Extractive as Extractive
from retrograd.data.query_generation import QueryGenerator as QueryGenerator
from retrograd.data.query_generation import Seq2SeqGenerator as Seq2SeqGenerator
from retrograd.data.request_rows import NextItemRequests as NextItemRequests
from retrograd.data.request_rows import PersonalRequests as PersonalRequests
from retrograd.data.request_rows import TextRequests as TextRequests
from retrograd.data.requests import TrainRequests as TrainRequests
from retrograd.data.requests import load_requests as load_requests
from retrograd.data.runs import read_run as read_run
from retrograd.data.runs import read_topics as read_topics
from retrograd.data.runs import read_trec_qrels as read_trec_qrels
from retrograd.data.runs import write_run as write_run
from retrograd.data.runs import write_topics as write_topics
from retrograd.data.runs import write_trec_qrels as write_trec_qrels
from retrograd.data.sample import sample_path as sample_path
from retrograd.data.search_log import read_search_log as read_search_log
from retrograd.data.sequences import EveryPrefix as EveryPrefix
from retrograd.data.splits import hash_fraction as hash_fraction
from retrograd.data.splits import leave_one_out as leave_one_out
from retrograd.data.splits import temporal as temporal
from retrograd.data.splits import tune_cut as tune_cut
from retrograd.data.teacher_lists import TeacherLists as TeacherLists

CONFIGS: tuple[type, ...] = (
    DocumentText,
    TrainQueries,
    PseudoQueries,
    Titles,
    TermBag,
    MinedNegatives,
    NextItem,
    EveryPrefix,
    TrainRequests,
    NextItemRequests,
    TextRequests,
    PersonalRequests,
    TeacherLists,
    Extractive,
    Seq2SeqGenerator,
)
"""Every config class a saved recipe may name."""
