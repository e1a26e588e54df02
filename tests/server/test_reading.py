"""Questions of every form, on every kind of system."""

import json
import threading
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from retrograd.data.dataset import load_dataset
from retrograd.recipes import recipe
from retrograd.server.application import build
from retrograd.server.schemas import AuditAnswer, SearchAnswer, Systems, Tree
from retrograd.server.settings import Settings
from retrograd.training.fit import fit
from retrograd.types import Query
from retrograd.updates.live import LiveSystem
from tests.recommendation_data import write_shop

ASKED = "estimate depth from one image"
TEXTS = [ASKED, "translate a text", "music", "a robot that walks", "speech to text"]


def search(served, name, **body):
    response = served.client.post(f"/v1/systems/{name}/search", json=body)
    assert response.status_code == 200, response.text
    SearchAnswer.model_validate(response.json(), strict=True)
    return response.json()


def refused(response, status, code=None):
    assert response.status_code == status, response.text
    assert len(response.content) < 4096
    error = response.json()["error"]
    assert code is None or error["code"] == code
    return error["message"]


def test_systems_say_what_they_take(serve):
    served = serve("bm25", "dense", "generative")
    body = served.client.get("/v1/systems").json()
    Systems.model_validate(body, strict=True)
    assert {one["name"]: one["takes"] for one in body["systems"]} == {
        "bm25": ["query"],
        "dense": ["query", "vector"],
        "generative": ["query"],
    }
    assert {one["name"]: one["has_docids"] for one in body["systems"]}["generative"]
    assert all(one["writable"] for one in body["systems"])


@pytest.mark.parametrize("name", ["bm25", "dense", "generative", "dgi_plus"])
def test_an_answer_is_the_librarys(serve, name):
    served = serve(name)
    live = served.live(name)
    for text in TEXTS:
        [wanted] = live.system.search([text], 5).hits
        [result] = search(served, name, query=text, k=5)["results"]
        assert [hit["id"] for hit in result["hits"]] == [hit.document for hit in wanted]
        assert [hit["score"] for hit in result["hits"]] == pytest.approx(
            [hit.score for hit in wanted], rel=1e-4
        )
        assert [hit["rank"] for hit in result["hits"]] == list(range(1, len(wanted) + 1))
        for hit, other in zip(result["hits"], wanted, strict=True):
            document = live.system.corpus[live.system.corpus.row_of[hit["id"]]]
            assert (hit["title"], hit["metadata"]) == (document.title, dict(document.metadata))
            assert len(hit["snippet"]) <= 240
            assert tuple(hit["path"]) == other.path


@pytest.mark.parametrize("name", ["bm25", "dense", "generative"])
def test_many_questions_in_one_request_are_answered_as_one_by_one(serve, name):
    served = serve(name)
    together = search(served, name, queries=TEXTS, k=4)["results"]
    for text, result in zip(TEXTS, together, strict=True):
        [alone] = search(served, name, query=text, k=4)["results"]
        assert result["query"] == text
        assert [hit["id"] for hit in result["hits"]] == [hit["id"] for hit in alone["hits"]]


def test_one_text_may_stand_in_the_address(serve):
    served = serve("bm25")
    response = served.client.get("/v1/systems/bm25/search", params={"q": ASKED, "k": 3})
    posted = search(served, "bm25", query=ASKED, k=3)
    ids = [[hit["id"] for hit in body["results"][0]["hits"]] for body in (response.json(), posted)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3
    refused(served.client.get("/v1/systems/bm25/search"), 422)
    refused(served.client.get("/v1/systems/bm25/search", params={"q": "  "}), 422)
    refused(served.client.get("/v1/systems/bm25/search", params={"q": "x", "k": "1e9"}), 422)


def test_steps_of_a_path_are_probabilities_that_multiply(serve):
    served = serve("generative")
    [result] = search(served, "generative", query=ASKED, k=5)["results"]
    for hit in result["hits"]:
        assert [step["token"] for step in hit["steps"]] == hit["path"]
        product = 1.0
        for step in hit["steps"]:
            assert 0 <= step["probability"] <= 1
            product *= step["probability"]
            assert step["cumulative"] == pytest.approx(product)
        assert hit["path_label"] == "-".join(map(str, hit["path"]))


@pytest.mark.parametrize("name", ["generative", "dgi_plus"])
def test_an_explanation_shows_every_key_that_was_kept(serve, name):
    served = serve(name)
    response = served.client.post(f"/v1/systems/{name}/explain", json={"query": ASKED, "k": 2})
    [result] = response.json()["results"]
    SearchAnswer.model_validate(response.json(), strict=True)
    assert len(result["hits"]) == 2
    assert len(result["beam"]) > 2
    scores = [key["score"] for key in result["beam"]]
    assert scores == sorted(scores, reverse=True)
    table = served.live(name).system.table
    keys = {table.key(row) for row in range(len(table))}
    assert all(tuple(key["path"]) in keys and key["documents"] for key in result["beam"])
    shown = {tuple(hit["path"]) for hit in result["hits"]}
    assert shown <= {tuple(key["path"]) for key in result["beam"]}
    [same] = search(served, name, query=ASKED, k=2, explain=True)["results"]
    assert same["beam"] == result["beam"]
    assert [hit["id"] for hit in same["hits"]] == [hit["id"] for hit in result["hits"]]


def test_a_system_without_ids_has_an_empty_beam_and_no_tree(serve):
    served = serve("bm25")
    body = served.client.post("/v1/systems/bm25/explain", json={"query": ASKED}).json()
    assert body["results"][0]["beam"] == []
    refused(served.client.get("/v1/systems/bm25/tree"), 404, "no_docids")


def test_engines_agree_and_an_impossible_one_is_refused(serve):
    served = serve("generative", "bm25")
    answers = [
        [hit["id"] for hit in search(served, "generative", query=ASKED, engine=engine)["results"][0]["hits"]]
        for engine in ("auto", "torch")
    ]
    assert answers[0] == answers[1]
    search(served, "bm25", query=ASKED, engine="torch")
    refused(served.client.post("/v1/systems/bm25/search", json={"query": "x", "engine": "native"}), 422)
    refused(served.client.post("/v1/systems/bm25/search", json={"query": "x", "engine": "other"}), 422)


def test_a_vector_finds_what_its_text_finds(serve):
    served = serve("dense", "bm25")
    system = served.live("dense").system
    vector = np.asarray(system.model.query_vectors([ASKED]), np.float32)[0].tolist()
    [by_vector] = search(served, "dense", vector=vector, k=3)["results"]
    [by_text] = search(served, "dense", query=ASKED, k=3)["results"]
    assert [hit["id"] for hit in by_vector["hits"]] == [hit["id"] for hit in by_text["hits"]]
    for wrong in ([0.5], [1e300] * len(vector), []):
        refused(served.client.post("/v1/systems/dense/search", json={"vector": wrong}), 422)
    refused(served.client.post("/v1/systems/bm25/search", json={"vector": vector}), 422)


@pytest.mark.parametrize("name", ["bm25", "dense", "generative"])
def test_filters_keep_to_what_they_say(serve, name):
    served = serve(name)
    corpus = served.live(name).system.corpus
    framework = corpus[0].metadata["framework"]
    [result] = search(served, name, query=ASKED, k=40, filters={"framework": framework})["results"]
    assert result["hits"]
    assert {hit["metadata"]["framework"] for hit in result["hits"]} == {framework}
    [two] = search(served, name, query=ASKED, k=40, filters={"id": [corpus[0].id, corpus[1].id]})["results"]
    assert {hit["id"] for hit in two["hits"]} <= {corpus[0].id, corpus[1].id}
    message = refused(
        served.client.post(f"/v1/systems/{name}/search", json={"query": "x", "filters": {"hidden-name": 1}}),
        422,
    )
    assert "hidden-name" not in message


def test_a_recommender_is_asked_with_items_and_with_nothing_else(tmp_path):
    shop = load_dataset(write_shop(tmp_path / "shop"))
    fit(recipe("transition_knn"), shop, tmp_path / "counted")
    live = LiveSystem.open(tmp_path / "counted")  # the application closes it
    ask = "/v1/systems/counted/search"
    with TestClient(build({"counted": live}, Settings()), raise_server_exceptions=False) as client:
        (system,) = client.get("/v1/systems").json()["systems"]
        assert system["takes"] == ["history"]
        taken = next(iter(shop.histories.values())).items
        answer = client.post(ask, json={"history": taken, "k": 5}).json()
        found = [hit["id"] for hit in answer["results"][0]["hits"]]
        assert found == live.search([Query("q", "", taken)], 5).documents()["q"]
        assert "history" in refused(client.post(ask, json={"query": "soap"}), 422)
        gone = client.post(ask, json={"history": ["sold no longer"]}).json()
        assert gone["results"][0]["hits"] == []


def test_a_history_is_refused_where_none_is_read(serve):
    served = serve("bm25")
    refused(served.client.post("/v1/systems/bm25/search", json={"history": ["a1"]}), 422)


def test_the_tree_adds_up(serve):
    served = serve("generative")
    root = served.client.get("/v1/systems/generative/tree").json()
    Tree.model_validate(root, strict=True)
    system = served.live("generative").system
    assert root["documents"] == len(system.corpus) == sum(child["documents"] for child in root["children"])
    prefix, node = [], root
    while node["children"]:
        child = max(node["children"], key=lambda child: child["documents"])
        prefix.append(child["token"])
        response = served.client.get(
            "/v1/systems/generative/tree", params={"prefix": "-".join(map(str, prefix))}
        )
        below = response.json()
        assert below["documents"] == child["documents"]
        assert below["prefix"] == prefix
        assert child["leaf"] == (not below["children"])
        assert len(child["terms"]) <= 5
        assert len(child["examples"]) <= 3
        node = below
    assert {one["id"] for one in node["listed"]} <= set(system.corpus.ids)
    refused(served.client.get("/v1/systems/generative/tree?prefix=99999999"), 404, "no_prefix")
    refused(served.client.get("/v1/systems/generative/tree?prefix=a-b"), 422)


def test_the_audit_counts_what_was_served_and_finds_hubs_once_per_generation(serve):
    served = serve("dense")
    for _ in range(4):
        [result] = search(served, "dense", query=ASKED, k=2)["results"]
    assert [hit["served"] for hit in result["hits"]] == [4, 4]
    until = time.monotonic() + 20
    while not (report := served.client.get("/v1/systems/dense/audit").json())["ready"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    AuditAnswer.model_validate(report, strict=True)
    counts = report["served"]
    assert (counts["queries"], counts["answers"], counts["documents"]) == (4, 8, 2)
    assert counts["top_share"] == 0.5  # one document of forty is the top 1 %
    assert {one["id"] for one in counts["most"]} == {hit["id"] for hit in result["hits"]}
    hubs = report["hubness"]
    assert hubs["reference"] == 40
    assert hubs["mean"] == hubs["k"] == 10  # 40 lists of 10 over 40 documents
    assert all(hub["count"] >= 5 * hubs["mean"] for hub in hubs["hubs"])
    served.client.put("/v1/systems/dense/documents/new", json={"text": "zebra"})
    assert served.client.get("/v1/systems/dense/audit").json()["hubness"] is None


def test_simultaneous_questions_are_joined_and_answered_as_if_alone(serve):
    served = serve("bm25")
    hosted = served.app.state.hosted["bm25"]
    alone = [search(served, "bm25", query=text, k=3)["results"][0]["hits"] for text in TEXTS]
    gate, began = threading.Event(), threading.Event()
    hosted.batcher.aside(lambda: began.set() or not gate.wait(10))
    assert began.wait(5)
    found = {}

    def ask(text):
        found[text] = search(served, "bm25", query=text, k=3)["results"][0]["hits"]

    threads = [threading.Thread(target=ask, args=(text,)) for text in TEXTS]
    for thread in threads:
        thread.start()
    while len(hosted.batcher) < len(TEXTS):
        time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    assert [[h["id"] for h in found[text]] for text in TEXTS] == [[h["id"] for h in hits] for hits in alone]
    assert [line["batch"] for line in served.log[-len(TEXTS) :]] == [len(TEXTS)] * len(TEXTS)


def test_a_slow_search_ends_at_the_deadline(serve):
    served = serve("bm25", deadline=0.2)
    gate = threading.Event()
    served.app.state.hosted["bm25"].batcher.aside(lambda: not gate.wait(10))
    time.sleep(0.05)
    message = refused(served.client.post("/v1/systems/bm25/search", json={"query": "x"}), 503, "deadline")
    assert "deadline" in message
    gate.set()
    assert search(served, "bm25", query=ASKED)["results"][0]["hits"]


def test_a_full_queue_is_429_and_says_when_to_come_back(serve):
    served = serve("bm25", queue=2, deadline=5)
    batcher = served.app.state.hosted["bm25"].batcher
    gate = threading.Event()
    batcher.aside(lambda: not gate.wait(10))
    time.sleep(0.05)
    threads = [threading.Thread(target=lambda: search(served, "bm25", query="image")) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(batcher) < 2:
        time.sleep(0.001)
    response = served.client.post("/v1/systems/bm25/search", json={"query": "one more"})
    refused(response, 429, "queue_full")
    assert response.headers["retry-after"] == "1"
    gate.set()
    for thread in threads:
        thread.join()


def test_a_document_deleted_while_its_answer_was_under_way_is_not_in_it(serve, monkeypatch):
    served = serve("bm25")
    live = served.live("bm25")
    [before] = search(served, "bm25", query=ASKED, k=3)["results"]
    gone = before["hits"][0]["id"]
    real = live.search

    def overtaken(*arguments, **named):
        found = real(*arguments, **named)
        live.delete([gone])
        return found

    monkeypatch.setattr(live, "search", overtaken)
    body = search(served, "bm25", query=ASKED, k=3)
    assert gone not in [hit["id"] for hit in body["results"][0]["hits"]]
    assert [hit["rank"] for hit in body["results"][0]["hits"]] == [1, 2]
    assert body["generation"] == 1


def test_queries_stand_in_the_log_only_where_that_was_asked_for(serve):
    for log_queries in (False, True):
        served = serve("bm25", log_queries=log_queries)
        search(served, "bm25", query="a very private question")
        assert ("private" in json.dumps(served.log)) is log_queries
