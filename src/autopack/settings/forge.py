"""`[forge]`: where pull requests go, and how it is reached. Only a form: it reads no token.

For the user's own file and environment: where code and tokens go is nothing that a repository says.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from autopack.settings.notify import is_here

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
"""`owner/name` as GitHub allows it."""
_PLAIN: Final = re.compile(r"[\x21-\x7e]*")


def _fault(message: str) -> PydanticCustomError:
    return PydanticCustomError("forge", "{message}", {"message": message})


class Forge(BaseModel):
    """`[forge]`: the forge of this user's runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(
        "local", description="Entry point in the group autopack.forges: local (files) or github"
    )
    repository: str = Field(
        "", description="`owner/name`, where the repository's `origin` does not tell it"
    )
    api_url: str = Field("https://api.github.com", description="The REST API's address")
    remote: str = Field("", description="What is pushed to; default: https, beside the API")
    client: Literal["", "gh", "http"] = Field(
        "", description="How it is asked; default: http when there is a token, else gh"
    )
    token_file: str = Field(
        "",
        description="File (0600) with a token; default: GITHUB_TOKEN or GH_TOKEN, for another "
        "server GH_ENTERPRISE_TOKEN",
    )
    seconds_max: int = Field(60, gt=0, le=600, description="Longest request")
    wait_seconds_max: int = Field(
        300, ge=0, le=7200, description="Longest wait, all in all, for one answer that is put off"
    )
    checks_seconds_max: int = Field(
        3600, gt=0, le=86_400, description="Longest wait for a candidate's checks"
    )
    checks_settle_seconds: int = Field(
        30, ge=0, le=3600, description="All green must stay so for this long, for late ones"
    )

    @field_validator("repository")
    @classmethod
    def _owner_and_name(cls, value: str) -> str:
        if value and not NAME.fullmatch(value):
            raise _fault("repository: write owner/name")
        return value

    @field_validator("api_url")
    @classmethod
    def _api(cls, value: str) -> str:
        _check_address("api_url", value)
        return value.rstrip("/")

    @field_validator("remote")
    @classmethod
    def _remote(cls, value: str) -> str:
        if "://" in value and not value.startswith("ssh://"):
            _check_address("remote", value)
        elif value.startswith("-") or not _PLAIN.fullmatch(value) or "::" in value:
            raise _fault("remote: no repository address that Autopack uses")
        return value


def _check_address(key: str, value: str) -> None:
    """A token goes there: https, or this machine; nothing else in the URL."""
    try:
        address, _port = urlsplit(value), urlsplit(value).port
    except ValueError as error:
        raise _fault(f"{key}: not a URL") from error
    if not address.hostname or not _PLAIN.fullmatch(value):
        raise _fault(f"{key}: not a URL of ASCII without blanks")
    if "@" in address.netloc or address.query or address.fragment:
        raise _fault(f"{key}: no user, password, query or fragment")
    if address.scheme != "https" and not (address.scheme == "http" and is_here(address.hostname)):
        raise _fault(f"{key}: https is spoken, nothing else")
