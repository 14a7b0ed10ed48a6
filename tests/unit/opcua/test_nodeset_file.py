"""Users' node sets: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.opcua import nodeset_file
from gateway.opcua.nodeset_file import read_nodesets

OURS = "urn:ours"
HEAD = '<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">\n'
DEVICE = '<UAObject NodeId="ns=1;i=1" BrowseName="1:Device"/>\n'


def text(uri: str = "urn:plant", *, needs: str = "", nodes: str = DEVICE, date: str = "2024-01-01T00:00:00Z") -> str:
    required = "".join(f'<RequiredModel ModelUri="{n}" PublicationDate="2023-06-01T00:00:00Z"/>' for n in needs.split())
    model = f'<Models><Model ModelUri="{uri}" PublicationDate="{date}">{required}</Model></Models>\n'
    return f"{HEAD}<NamespaceUris><Uri>{uri}</Uri></NamespaceUris>\n{model}{nodes}</UANodeSet>"


def problems(folder: Path, *texts: str | bytes) -> list[str]:
    paths = []
    for i, content in enumerate(texts):
        path = folder / f"{i}.xml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        paths.append(path)
    with pytest.raises(ConfigError) as caught:
        read_nodesets(paths, OURS)
    return [str(p).replace(f"{folder}/", "") for p in caught.value.problems]


def test_files_come_in_the_order_of_their_needs(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a.xml", tmp_path / "b.xml", tmp_path / "c.xml"
    a.write_text(text("urn:a", needs="urn:b http://opcfoundation.org/UA/"))
    b.write_text(text("urn:b", needs="urn:c http://opcfoundation.org/UA/MachineVision"))
    c.write_text(text("urn:c"))
    read = read_nodesets([a, b, c], OURS)
    assert [s.path for s in read] == [c, b, a]
    assert read[0].defines == {"urn:c"}


def test_entities_are_refused_before_they_are_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n' + text().replace("Device", "&b;")
    (said,) = problems(tmp_path, bomb)
    assert said.startswith("0.xml:1:") and "document type declaration" in said and "remove it" in said


def test_too_large_too_many_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodeset_file, "MAX_BYTES", 2000)
    monkeypatch.setattr(nodeset_file, "MAX_NODES", 5)
    monkeypatch.setattr(nodeset_file, "MAX_DEPTH", 10)
    large, many = text() + " " * 2000, text(nodes=DEVICE * 6)
    deep = text(nodes="<a>" * 10 + "</a>" * 10)
    said = problems(tmp_path, large, many, deep)
    assert [s.partition(":")[0] for s in said] == ["0.xml", "1.xml", "2.xml"]
    assert "a node set may have" in said[0] and "more than 5 nodes" in said[1] and "more than 10 deep" in said[2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no XML"),
        (b"\xff\xfe\x00", "is no XML"),
        (b"<a", "0.xml:1:1: is no XML: unclosed token"),
        (text()[:-20].encode(), "is no XML"),
        (b"<html/>", "is no NodeSet2 file: it begins with html, not UANodeSet"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "is no XML"),
        (text(nodes="").encode(), "has no nodes; take it off opcua.nodesets"),
    ],
)
def test_what_is_no_node_set(tmp_path: Path, content: bytes, words: str) -> None:
    (said,) = problems(tmp_path, content)
    assert words in said


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.xml: cannot be read: No such file.*\n.*cannot be read: Is a directory"):
        read_nodesets([tmp_path / "none.xml", tmp_path], OURS)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ('<UAObject NodeId="i=2253" BrowseName="Server"/>', "i=2253 is one of the standard's nodes"),
        ('<UAObject NodeId="ns=2;i=1" BrowseName="x"/>', "its namespace is not among the file's NamespaceUris"),
        ('<UAObject NodeId="ns=x;i=1" BrowseName="x"/>', "its namespace is not among"),
        ('<UAObject NodeId="ns=²;i=1" BrowseName="x"/>', "its namespace is not among"),
        ("<UAObject/>", "is one of the standard's nodes"),
        (DEVICE, "ns=1;i=1 is there twice"),
    ],
)
def test_nodes_that_are_not_the_files_to_give(tmp_path: Path, node: str, words: str) -> None:
    (said,) = problems(tmp_path, text(nodes=DEVICE + node))
    assert words in said
    assert said.startswith("0.xml:5:")


def test_nodes_in_our_namespaces_are_refused(tmp_path: Path) -> None:
    mixed = text().replace("</Uri>", "</Uri><Uri>http://opcfoundation.org/UA/MachineVision</Uri>")
    mixed = mixed.replace("</UANodeSet>", '<UAObject NodeId="ns=2;i=1003" BrowseName="2:VisionSystemType"/></UANodeSet>')
    said = problems(tmp_path, text(OURS), mixed)
    assert "the gateway's own nodes" in said[0]
    assert said[1].startswith("1.xml:5:") and "Machine Vision's, which the gateway builds itself" in said[1]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    said = problems(tmp_path, text("urn:a", needs="urn:x"), b"<a", text("urn:b"), text("urn:b"))
    assert [s.partition(":")[0] for s in said] == ["1.xml", "3.xml"]  # needs are looked at when all files are sound
    assert "urn:b is in" in said[1] and "keep one of the two files" in said[1]


def test_missing_old_and_circular_needs(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, text("urn:a", needs="urn:di"))
    assert "needs urn:di; add the file that has it to opcua.nodesets" in said
    (said,) = problems(tmp_path, text("urn:a", needs="urn:di"), text("urn:di", date="2020-01-01T00:00:00Z"))
    assert "of 2023-06-01T00:00:00Z or later, and the one given is of 2020" in said
    (said,) = problems(tmp_path, text("urn:a", needs="urn:b"), text("urn:b", needs="urn:a"))
    assert "need one another in a circle" in said


def test_another_machine_vision_than_ours_is_refused_with_the_difference(tmp_path: Path) -> None:
    node = '<UAObjectType NodeId="ns=1;i=1003" BrowseName="1:VisionSystemTypo" ValueRank="x"/>'
    said = problems(tmp_path, text("http://opcfoundation.org/UA/MachineVision", nodes=node))
    assert len(said) == 20  # the first of many
    different = "i=1003 is ('ObjectType', 'VisionSystemTypo', 'x') here and ('ObjectType', 'VisionSystemType', '-1') in"
    assert any(different in s for s in said)
    assert all("take the file off opcua.nodesets" in s for s in said)
