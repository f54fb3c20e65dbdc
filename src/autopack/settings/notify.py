"""`[notify.<name>]`: who is told of what happens to runs. Only a form: it reads no secret's file.

For the user's own file and environment: where notices go, and what is started for them, is nothing
that a repository may say.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

Kind = Literal[
    "budget.tokens", "budget.minutes", "budget.ci_runs", "delivery.refused",
    "promotion.opened", "promotion.refused", "promotion.waits",
    "run.parked", "run.resumed", "run.ended",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TARGETS_MAX: Final = 16
"""Each has a thread of its own in the supervisor."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def _fault(message: str) -> PydanticCustomError:
    return PydanticCustomError("notify", "{message}", {"message": message})


def _file_schema(schema: dict[str, Any]) -> None:
    """What an editor may accept in a file: no secret."""
    schema["properties"].pop("secret")


class Notify(BaseModel):
    """`[notify.<name>]`: one target, either a URL or a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_file_schema)

    url: str = Field("", repr=False, description="Where notices are posted to, signed; https")
    secret: SecretStr | None = Field(
        None, description="Signs what is posted; `whsec_…`; from the environment only"
    )
    secret_file: str = Field(
        "", description="File (0600) with the secret, or two while one changes"
    )
    allow_http: bool = Field(
        default=False, description="Also http to other machines: all on the way can read it"
    )
    command: tuple[str, ...] = Field((), description="argv; gets the notice on standard input")
    pass_env: tuple[str, ...] = Field(
        (), description="Copied from the supervisor's environment to the command"
    )
    on: tuple[Kind, ...] = Field(KINDS, description="What is told")
    details: bool = Field(
        default=False,
        description="Also why a run failed: may hold paths and text of tools and agents",
    )
    seconds_max: int = Field(10, gt=0, le=600, description="Longest attempt")
    attempts_max: int = Field(20, gt=0, description="Attempts of a notice; then it is given up")

    @property
    def address(self) -> SplitResult:
        """The URL in its parts."""
        return urlsplit(self.url)

    @property
    def shown_url(self) -> str:
        """The URL fit to be shown: what follows the host may be a password."""
        return f"{self.address.scheme}://{self.address.netloc}/…" if self.url else ""

    @model_validator(mode="after")
    def _one_way(self) -> Notify:
        if bool(self.url) == bool(self.command):
            raise _fault("name either a url or a command")
        if self.url:
            self._check_url()
        if self.secret_file and not self.secret_file.startswith(("/", "~")):
            raise _fault("secret_file: write an absolute path")
        return self

    def _check_url(self) -> None:
        try:
            address, _port = self.address, self.address.port
        except ValueError as error:
            raise _fault("url: not a URL") from error
        if not address.hostname or re.search(r"[\s\x00-\x20\x7f-\U0010ffff]", self.url):
            raise _fault("url: not a URL of ASCII without blanks")
        if "@" in address.netloc or address.fragment:
            raise _fault("url: no user, password or fragment; what is posted is signed instead")
        if address.scheme not in ("http", "https"):
            raise _fault("url: https is spoken, nothing else")
        if address.scheme == "http" and not (self.allow_http or is_here(address.hostname)):
            raise _fault("url: http to another machine; use https, or set allow_http = true")


def is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_names(targets: dict[str, Notify]) -> dict[str, Notify]:
    for name in targets:
        if not _NAME.fullmatch(name) or len(name) > 32:
            raise _fault(f"{name!r}: a target's name is a-z, 0-9 and single _")
    if len(targets) > TARGETS_MAX:
        raise _fault(f"more than {TARGETS_MAX} targets")
    return targets


Targets = Annotated[dict[str, Notify], AfterValidator(_checked_names)]
