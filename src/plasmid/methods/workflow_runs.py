"""Run a workflow: an analysis and the executions of all its stages, in one transaction (E.6, F.2).

A stage's executable is run as `methods.running` runs one; a workflow as a stage is an analysis below
the analysis.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from plasmid.domain import errors, folders, ids, keys, links, properties, requirements, run_spec
from plasmid.domain import stage_values, workflow_spec
from plasmid.domain.requirements import Layer
from plasmid.domain.stage_values import Resolver, Values
from plasmid.executions import analysis_launch, analysis_outputs, cloning, launch, object_metadata
from plasmid.executions import references, settle
from plasmid.executions.analysis_launch import AnalysisLaunch
from plasmid.executions.launch import Launch
from plasmid.executions.world import Moment
from plasmid.metadata import analyses, jobs
from plasmid.metadata.rows import AnalysisRow, ContainerRow, JobRow
from plasmid.methods import (
    app_runs, granting, moments, run_settings, running, stage_executables, stage_inputs, targets,
    tree_limits,
)
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.stage_executables import NESTING_MAX
from plasmid.methods.targets import Access, DataObject
