"""From a claim to blocks, from blocks to measurements, from measurements to verdicts."""

from tractable.run._agenda import missing, rounds_of
from tractable.run._block import read_block
from tractable.run._cluster import ClusterError
from tractable.run._jobs import Block, Job, Reading, Subject
from tractable.run._judging import ExperimentJudgement, Finding, Judgement, judge
from tractable.run._keys import criteria_hash, resume_key, source_files
from tractable.run._verify import Options, Progress, judge_stored, verify
from tractable.run._watch import run_job

__all__ = [
    "Block",
    "ClusterError",
    "ExperimentJudgement",
    "Finding",
    "Job",
    "Judgement",
    "Options",
    "Progress",
    "Reading",
    "Subject",
    "criteria_hash",
    "judge",
    "judge_stored",
    "missing",
    "read_block",
    "resume_key",
    "rounds_of",
    "run_job",
    "source_files",
    "verify",
]
