"""The directory of records: no directory, not to be written, and a disk that is full."""

import os
import sys

import pytest

from tests.doctor.patient import Patient, assert_well, broken, first, mended

pytestmark = pytest.mark.asyncio(loop_scope="package")

has_namespaces = pytest.mark.skipif(sys.platform != "linux", reason="a disk of its own is mounted as Linux does it")


async def test_a_directory_that_is_none(routed: Patient) -> None:
    place = routed.write(routed.home / ".local/share/claude-proxy", "not a directory")
    found = await broken(routed, "ledger.directory")
    assert found["command"] == f"mv {place} {place}.old"
    await mended(routed, found)


async def test_the_place_that_is_configured(routed: Patient) -> None:
    place = routed.write(routed.home / "elsewhere", "not a directory")
    report = await routed.ask_as_process(f"exec env CLAUDE_PROXY_LEDGER__URL=sqlite://{place}/records.db")
    assert first(report)["command"] == f"mv {place} {place}.old"


async def test_a_directory_that_may_not_be_written(routed: Patient) -> None:
    place = routed.home / ".local/share/claude-proxy"
    place.mkdir(parents=True)
    place.chmod(0o555)
    # Root without what lets it pass over modes.
    plain = "exec setpriv --bounding-set=-dac_override,-dac_read_search" if os.geteuid() == 0 else "exec"
    found = first(await routed.ask_as_process(plain))
    assert found["says"] == f"nothing can be written in {place}: permission denied"
    assert found["command"] == f"chmod u+rwx {place}"
    await routed.mend(found["command"])
    assert_well(await routed.ask_as_process(plain))


@has_namespaces
async def test_a_disk_that_cannot_be_written_at_all(routed: Patient) -> None:
    place = routed.home / ".local/share/claude-proxy"
    place.mkdir(parents=True)
    mounted = f"unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o ro none {place} && exec \"$@\"' sh"
    found = first(await routed.ask_as_process(mounted))
    assert found["says"] == f"nothing can be written in {place}: read-only file system"
    assert "ledger.url" in found["advice"]


@has_namespaces
async def test_a_disk_that_is_full(routed: Patient) -> None:
    place = routed.home / ".local/share/claude-proxy"
    place.mkdir(parents=True)
    # In a namespace of its own the user may mount a disk, and fill it; what is told to be done is done there as well.
    on_a_full_disk = (
        f"unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=80m none {place} && "
        f'{{ head -c 80m /dev/zero > {place}/large 2>/dev/null; {{}} "$@"; }}\' sh'
    )
    report = await routed.ask_as_process(on_a_full_disk.replace("{}", ""))
    found = first(report)
    assert (found["check"], found["mark"]) == ("ledger.directory", "fail")
    assert found["says"] == f"nothing can be written in {place}: no space left on device"
    assert found["command"] == f"df -h {place}"
    report = await routed.ask_as_process(on_a_full_disk.replace("{}", f"head -c 60m /dev/zero > {place}/large;"))
    assert first(report)["says"] == f"only 20 MiB are left for {place}"
    assert_well(await routed.ask_as_process(on_a_full_disk.replace("{}", f"rm {place}/large;")))
