"""The Dockerfile without Docker: read into instructions, and carried out in a directory that stands for the root."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.downloads import downloading
from tests.house.source import REPOSITORY

Instruction = tuple[str, str]
"""A word in capitals, and what follows it on the line."""

# What the instructions make themselves; all else (/usr, /bin, /tmp) is the machine's own.
_PLACES = re.compile(r"(?<![\w./])/(?=(?:home|opt|root|src)\b)")
_FLAGS = re.compile(r"^(?:--\S+\s+)+")


def instructions(text: str) -> list[Instruction]:
    """Comments dropped, lines that go on joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


@dataclass
class Image:
    """What the build of an image leaves: a root, the environment, and who runs what where."""

    root: Path
    owner: int
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path = Path("/")
    user: str = ""
    command: list[str] = field(default_factory=list)
    health_command: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    """The commands of RUN, as they were run."""

    def inside(self, text: str) -> str:
        """The same with every path of the image below this root."""
        return _PLACES.sub(f"{self.root}/", text)

    def build(self, text: str) -> None:
        """Carries out all instructions. Raises CalledProcessError where a command fails."""
        python = self.root / "usr/local/bin/python3"  # as the base image has it
        python.parent.mkdir(parents=True)
        python.symlink_to(Path(sys.executable).resolve())
        for word, rest in instructions(text):
            self._carry_out(word, rest)

    def _carry_out(self, word: str, rest: str) -> None:
        if word == "FROM":
            if self.directory != Path("/"):
                shutil.rmtree(self.directory)  # the next stage sees none of it
            self.environment, self.directory, self.user = {}, Path("/"), ""
        elif word == "WORKDIR":
            self.directory = Path(self.inside(rest))
            self.directory.mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            self._copy(rest)
        elif word == "RUN":
            self._run(_FLAGS.sub("", rest))
        elif word == "ENV":
            self.environment |= dict(part.split("=", 1) for part in shlex.split(self.inside(rest)))
        elif word == "USER":
            self.user = self._with_arguments(rest)
        elif word == "HEALTHCHECK":
            self.health_command = json.loads(rest.partition("CMD ")[2])
        elif word == "CMD":
            self.command = json.loads(rest)
        elif word == "ARG":
            assert rest.partition("=")[0] == "OWNER"
        else:
            assert word in {"EXPOSE", "STOPSIGNAL"}, f"{word} is not known here"

    def _with_arguments(self, text: str) -> str:
        return text.replace("$OWNER", str(self.owner))

    def _copy(self, rest: str) -> None:
        *sources, target = _FLAGS.sub("", rest).split()
        if rest.startswith("--from="):
            # Both stages have the same root here, and the paths within a virtual environment are absolute.
            assert sources == [target]
            assert Path(self.inside(target)).is_dir()
            return
        for source in sources:
            if (REPOSITORY / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(REPOSITORY / source, self.directory / target, ignore=ignored)
            else:
                shutil.copy(REPOSITORY / source, self.directory / target)

    def _run(self, command: str) -> None:
        environment = {
            "HOME": str(self.root / "root"),
            "PATH": f"{self.root}/usr/local/bin:{os.environ['PATH']}",
            "OWNER": str(self.owner),
            **downloading(),  # the build mounts a cache as well
            **self.environment,
        }
        self.ran.append(self.inside(command))
        subprocess.run(["/bin/sh", "-c", self.ran[-1]], env=environment, cwd=self.directory, check=True, timeout=100)
