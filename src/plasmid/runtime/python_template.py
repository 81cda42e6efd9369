"""Runs a python executable as the main module, with dxpy in its namespace.

Calls the entry point if the code has not done so itself.
"""

import sys

import dxpy
import dxpy.utils.exec_utils

if hasattr(sys.stdout, "reconfigure"):
    # The log is read while the job runs, and a pipe would keep lines back until it is full.
    sys.stdout.reconfigure(line_buffering=True)

__file__ = sys.argv[0] = sys.argv[0] + ".code.py"
with open(__file__, "rb") as _source:
    _code = compile(_source.read(), __file__, "exec", dont_inherit=True)
del _source
exec(_code)
if dxpy.utils.exec_utils.RUN_COUNT == 0:
    dxpy.run()
