"""The page and the description of the API, and that nothing else can be had."""

import re

from retrograd.server.operating import read_files
from retrograd.server.schemas import ErrorBody
from tests.server.test_reading import refused


def test_the_page_and_its_files_are_served_and_revalidated(serve, tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><p>page")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "app.js").write_text("let a = 1")
    served = serve("bm25", page=tmp_path)
    assert served.client.get("/").headers["content-type"].startswith("text/html")
    script = served.client.get("/static/parts/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "no-cache"
    again = served.client.get("/static/parts/app.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_only_plain_files_of_the_folder_are_served(serve, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("x")
    (page / "link.txt").symlink_to(outside)
    (page / ".hidden").write_text("x")
    (page / "code.py").write_text("x")
    assert set(read_files(page)) == {"index.html"}
    served = serve("bm25", page=page)
    for path in ("link.txt", ".hidden", "code.py", "../outside.txt", "%2e%2e/outside.txt", "/outside.txt"):
        refused(served.client.get(f"/static/{path}"), 404)


def test_without_a_page_the_root_says_where_to_look(shared):
    assert "/docs" in refused(shared.client.get("/"), 404, "no_page")


def test_the_description_needs_no_other_server(shared):
    page = shared.client.get("/docs").text
    assert not re.search(r"https?://", page)
    assert "<script" not in page
    for path in shared.client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert shared.client.get("/docs/style.css").headers["content-type"].startswith("text/css")


def test_every_route_describes_its_errors(shared):
    described = shared.client.get("/openapi.json").json()
    name = ErrorBody.__name__
    for methods in described["paths"].values():
        for operation in methods.values():
            for status in ("400", "404", "413", "422", "429", "503"):
                schema = operation["responses"][status]["content"]["application/json"]["schema"]
                assert schema == {"$ref": f"#/components/schemas/{name}"}
