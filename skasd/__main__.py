"""`python -m skasd` is the command `skasd`."""

from skasd.command import program

if __name__ == "__main__":
    program(prog_name="skasd")
