"""Documents come and go over HTTP, and what was acknowledged holds from the next answer on."""

import threading
import time

import pytest

from retrograd.errors import InputError, StorageError
from retrograd.server.schemas import ChangeAnswer, DocumentBody, DocumentPage, HistoryAnswer
from tests.server.test_reading import refused, search

SYSTEM = "/v1/systems/bm25"


def ids_found(served, text, name="bm25"):
    return [hit["id"] for hit in search(served, name, query=text)["results"][0]["hits"]]


def changed(response):
    assert response.status_code == 200, response.text
    ChangeAnswer.model_validate(response.json(), strict=True)
    return response.json()


@pytest.mark.parametrize("name", ["bm25", "dense", "generative"])
def test_a_document_is_found_after_put_and_gone_after_delete(serve, name):
    served = serve(name)
    system, text = f"/v1/systems/{name}", "zebra crossings of Reykjavik"
    before = len(served.live(name).system.corpus)
    answer = changed(served.client.put(f"{system}/documents/new", json={"title": "zebra", "text": text}))
    assert (answer["generation"], answer["documents"]) == (1, before + 1)
    read = served.client.get(f"{system}/documents/new").json()
    DocumentBody.model_validate(read, strict=True)
    assert (read["title"], read["text"], read["generation"]) == ("zebra", text, 1)
    [result] = search(served, name, query=text, k=100)["results"]
    assert "new" in [hit["id"] for hit in result["hits"]]
    assert changed(served.client.delete(f"{system}/documents/new"))["generation"] == 2
    assert "new" not in ids_found(served, text, name)
    refused(served.client.get(f"{system}/documents/new"), 404, "no_document")
    refused(served.client.delete(f"{system}/documents/new"), 404, "no_document")


@pytest.mark.parametrize("document_id", ["a/b", "100%", "?x=1&y", "#", " inner blank", "ü/√", "..", "a:bulk"])
def test_ids_of_all_kinds_survive_the_way(shared, document_id):
    path = "".join(f"%{byte:02X}" for byte in document_id.encode())
    changed(shared.client.put(f"{SYSTEM}/documents/{path}", json={"title": "zebra"}))
    assert shared.client.get(f"{SYSTEM}/documents/{path}").json()["id"] == document_id
    assert ids_found(shared, "zebra") == [document_id]
    changed(shared.client.delete(f"{SYSTEM}/documents/{path}"))


def test_a_put_replaces(serve):
    served = serve("bm25")
    for word in ("zebra", "giraffe"):
        changed(served.client.put(f"{SYSTEM}/documents/x", json={"text": word, "metadata": {"n": [1, "a"]}}))
    assert ids_found(served, "zebra") == []
    assert ids_found(served, "giraffe") == ["x"]
    assert served.client.get(f"{SYSTEM}/documents/x").json()["metadata"] == {"n": [1, "a"]}


def test_a_bulk_change_happens_as_one_or_not_at_all(serve):
    served = serve("bm25")
    old = served.live("bm25").system.corpus.ids[0]
    new = [{"id": f"new{at}", "text": f"zebra {at}"} for at in range(5)]
    answer = changed(served.client.post(f"{SYSTEM}/documents:bulk", json={"put": new, "delete": [old]}))
    assert answer["generation"] == 1
    assert sorted(ids_found(served, "zebra")) == [document["id"] for document in new]
    refused(served.client.get(f"{SYSTEM}/documents/{old}"), 404)
    more = [{"id": "more", "text": "giraffe"}]
    message = refused(
        served.client.post(f"{SYSTEM}/documents:bulk", json={"put": more, "delete": ["new0", old]}), 404
    )
    assert message.startswith("delete.1")
    assert ids_found(served, "giraffe") == []
    assert served.live("bm25").generation == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"put": [], "delete": []},
        {"delete": ["a1", "a1"]},
        {"put": [{"id": "x", "text": "a"}, {"id": "x", "text": "b"}]},
        {"put": [{"id": "x", "text": "a"}], "delete": ["x"]},
        {"put": [{"id": "", "text": "a"}]},
        {"put": [{"id": "x"}]},
        {"put": [{"id": "a\nb", "text": "a"}]},
        {"put": [{"id": "x", "text": "a", "path": "/etc/passwd"}]},
        {"put": [{"id": "x", "text": "a", "metadata": {"n": 10**30}}]},
        {"put": [{"id": "x", "text": "a", "metadata": {"n": [[[[[[[[[[1]]]]]]]]]]}}]},
        {"put": "x"},
    ],
)
def test_a_faulty_bulk_change_is_refused_whole(shared, body):
    before = shared.live("bm25").generation
    refused(shared.client.post(f"{SYSTEM}/documents:bulk", json=body), 422)
    assert shared.live("bm25").generation == before


def test_the_last_document_stays(serve):
    served = serve("bm25")
    ids = list(served.live("bm25").system.corpus.ids)
    refused(served.client.post(f"{SYSTEM}/documents:bulk", json={"delete": ids}), 409, "last_document")
    changed(served.client.post(f"{SYSTEM}/documents:bulk", json={"delete": ids[1:]}))
    refused(served.client.delete(f"{SYSTEM}/documents/{ids[0]}"), 409, "last_document")


def test_documents_are_listed_in_pages(shared):
    ids = shared.live("bm25").system.corpus.ids
    seen = []
    for offset in range(0, len(ids), 15):
        page = shared.client.get(f"{SYSTEM}/documents", params={"offset": offset, "limit": 15}).json()
        DocumentPage.model_validate(page, strict=True)
        assert page["total"] == len(ids)
        seen += [document["id"] for document in page["documents"]]
    assert seen == list(ids)
    assert shared.client.get(f"{SYSTEM}/documents?offset=100000").json()["documents"] == []
    for wrong in ("offset=-1", "limit=0", "limit=101", "limit=x", f"offset={10**30}"):
        refused(shared.client.get(f"{SYSTEM}/documents?{wrong}"), 422)


def test_history_and_the_way_back(serve):
    served = serve("bm25")
    refused(served.client.post(f"{SYSTEM}/rollback", json={}), 409, "nothing_to_restore")
    changed(served.client.put(f"{SYSTEM}/documents/x", json={"text": "zebra"}))
    changed(served.client.delete(f"{SYSTEM}/documents/x"))
    back = changed(served.client.post(f"{SYSTEM}/rollback", json={"to": 1}))
    assert (back["generation"], back["restores"]) == (3, 1)
    assert ids_found(served, "zebra") == ["x"]
    history = served.client.get(f"{SYSTEM}/history").json()
    HistoryAnswer.model_validate(history, strict=True)
    assert [one["number"] for one in history["generations"]] == [3, 2, 1, 0]
    assert history["generation"] == 3
    assert len(served.client.get(f"{SYSTEM}/history?limit=2").json()["generations"]) == 2
    refused(served.client.post(f"{SYSTEM}/rollback", json={"to": 99}), 404, "no_generation")
    for wrong in ({"to": -1}, {"to": "1"}, {"to": 10**30}, {"from": 1}):
        refused(served.client.post(f"{SYSTEM}/rollback", json=wrong), 422)


def test_a_read_only_server_changes_nothing(serve):
    served = serve("bm25", read_only=True)
    old = served.live("bm25").system.corpus.ids[0]
    for response in (
        served.client.put(f"{SYSTEM}/documents/x", json={"text": "zebra"}),
        served.client.delete(f"{SYSTEM}/documents/{old}"),
        served.client.post(f"{SYSTEM}/documents:bulk", json={"delete": [old]}),
        served.client.post(f"{SYSTEM}/rollback", json={}),
    ):
        refused(response, 409, "read_only")
    assert not served.client.get("/v1/systems").json()["systems"][0]["writable"]
    assert served.live("bm25").generation == 0


@pytest.mark.parametrize(
    "error, status, code",
    [(InputError("secret-id is bad"), 422, "refused"), (StorageError("full"), 503, "storage")],
)
def test_why_a_system_refused_stands_in_the_log_only(serve, monkeypatch, error, status, code):
    served = serve("bm25")

    def refuse(documents):
        raise error

    monkeypatch.setattr(served.live("bm25"), "put", refuse)
    response = served.client.put(f"{SYSTEM}/documents/x", json={"text": "zebra"})
    assert "secret-id" not in refused(response, status, code)
    assert served.log[-1]["reason"] == str(error)
    assert served.log[-1]["id"] == response.headers["x-request-id"]


def test_a_change_that_could_not_begin_in_time_does_not_happen(serve, monkeypatch):
    served = serve("bm25", deadline=0.15)
    live, gate = served.live("bm25"), threading.Event()
    real = live.put
    monkeypatch.setattr(live, "put", lambda documents: gate.wait(10) and real(documents))
    first = threading.Thread(
        target=lambda: changed(served.client.put(f"{SYSTEM}/documents/first", json={"text": "zebra"}))
    )
    first.start()
    time.sleep(0.05)
    late = []
    second = threading.Thread(
        target=lambda: late.append(served.client.put(f"{SYSTEM}/documents/second", json={"text": "zebra"}))
    )
    second.start()
    time.sleep(0.3)
    gate.set()
    first.join()
    second.join()
    refused(late[0], 503, "deadline")
    assert ids_found(served, "zebra") == ["first"]


def test_searches_go_on_while_a_change_is_made(serve, monkeypatch):
    served = serve("bm25")
    live, gate, began = served.live("bm25"), threading.Event(), threading.Event()
    real = live.put

    def slow(documents):
        began.set()
        gate.wait(10)
        return real(documents)

    monkeypatch.setattr(live, "put", slow)
    writer = threading.Thread(
        target=lambda: changed(served.client.put(f"{SYSTEM}/documents/x", json={"text": "zebra"}))
    )
    writer.start()
    assert began.wait(5)
    for _ in range(5):
        assert ids_found(served, "zebra") == []
        assert ids_found(served, "image")
    gate.set()
    writer.join()
    assert ids_found(served, "zebra") == ["x"]


def test_no_reader_sees_a_document_after_its_deletion_was_acknowledged(serve):
    served = serve("bm25")
    gone: dict[str, float] = {}
    stale, errors, answered = [], [], []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            asked = time.monotonic()
            response = served.client.post(f"{SYSTEM}/search", json={"query": "zebra", "k": 20})
            if response.status_code != 200:
                errors.append(response.status_code)
                continue
            ids = [hit["id"] for hit in response.json()["results"][0]["hits"]]
            stale.extend(one for one in ids if gone.get(one, asked) < asked)
            answered.append(len(ids))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    until, number = time.monotonic() + 3, 0
    while time.monotonic() < until:
        name = f"z{number}"
        changed(served.client.put(f"{SYSTEM}/documents/{name}", json={"text": "zebra"}))
        assert name in ids_found(served, "zebra")
        changed(served.client.delete(f"{SYSTEM}/documents/{name}"))
        gone[name] = time.monotonic()
        number += 1
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert not stale
    assert number >= 2
    assert len(answered) > 20
