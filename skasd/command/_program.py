"""The program that the commands belong to: warnings and errors are a line each on the standard error."""

import warnings

import click

import skasd

_INTERRUPTED = 130


class Refusal(click.ClickException):
    """One line that says what is wrong, and the exit status 2."""

    exit_code = 2

    def __init__(self, message):
        super().__init__(one_line(message))

    def show(self, file=None):
        click.echo(f"skasd: {self.message}", file=file, err=True)


class Program(click.Group):
    """A group of commands of which none ends with a traceback."""

    def parse_args(self, ctx, args):
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise Refusal(_usage(error)) from error

    def invoke(self, ctx):
        with warnings.catch_warnings():
            warnings.filterwarnings("always", category=UserWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except click.UsageError as error:
                raise Refusal(_usage(error)) from error
            except (click.ClickException, click.exceptions.Exit):
                raise
            except (KeyboardInterrupt, click.Abort):
                raise click.exceptions.Exit(_INTERRUPTED) from None
            except Exception as error:
                raise Refusal(_words_of(error)) from error


def one_line(text):
    """A message of several lines in one."""
    return " ".join(str(text).split())


def tell(text):
    """Say on the standard error what happens."""
    click.echo(f"skasd: {one_line(text)}", err=True)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    tell(f"warning: {message}")


def _usage(error):
    path = error.ctx.command_path if error.ctx else "skasd"
    return f"{error.format_message()} See {path} --help."


def _words_of(error):
    if isinstance(error, (ValueError, ImportError, OSError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(skasd.__version__)
def program():
    """Learn how a machine sounds when it is healthy, and say when it no longer does.

    \b
    skasd check healthy/                          which recordings are useless?
    skasd train healthy/ -o pump.skasd            learn
    skasd score pump.skasd today/                 judge files
    skasd watch pump.skasd inbox/                 judge files as they come
    skasd listen pump.skasd                       listen to a microphone
    skasd info pump.skasd                         what has it learned?
    skasd update pump.skasd autumn/ -o new.skasd  learn further healthy recordings

    The exit status is 0 if all is normal, 1 for an alarm, and 2 if something could not be judged.
    """
