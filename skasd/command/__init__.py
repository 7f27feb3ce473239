"""The command `skasd`: from a folder of recordings to an alarm, in the shell.

Conventions
-----------
- Results go to the standard output, a line each; what happens meanwhile, warnings and errors to the standard error.
- Exit status: 0 all is normal, 1 an alarm, 2 something could not be judged or done, 130 after Ctrl-C.
- Nothing that exists is overwritten without ``--force``.
- What a command needs is imported when it runs, so that ``skasd --help`` is there at once.
"""

from skasd.command import _judging, _learning  # which add their commands to the program
from skasd.command._program import program

__all__ = ["program"]
