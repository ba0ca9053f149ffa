"""curl and wget: texts, exit codes, and what is behind them. Texts as curl 8 (src/tool_operate.c, lib/connect.c,
lib/multi.c) and BusyBox wget (networking/wget.c) print them."""

from __future__ import annotations

import pytest

from k8snet.shell.curl import Failure, parse, url
from tests.dataplane.http_shop import Shop, pod, service


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(
        pod("db", "postgres", app="db"),
        service("db", 5432, 5432),
        pod("cache", "memcached", app="cache"),
        service("cache", 11211, 11211),
        service("nobody"),
        service("wrong-port", 80, 9999, selector={"app": "my-app"}),
    )


def test_a_service_answers_by_name_with_its_pod_and_the_address_it_saw(shop: Shop) -> None:
    result = shop.run("curl -sS http://my-app")
    client = shop.moment.snapshot.pods["default/client"]
    assert result.exit_code == 0 and result.stderr == ""
    assert result.stdout.startswith("Hello from my-app-") and f"from {client.ip}" in result.stdout
    assert result.trace is not None and result.trace.outcome.status == 200
    assert result.trace.hops[0].inner is not None, "the look-up is a trace inside the trace"


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("curl nosuch", 6, "curl: (6) Could not resolve host: nosuch"),
        ("curl nobody", 7, "curl: (7) Failed to connect to nobody port 80 after 0 ms: Couldn't connect to server"),
        (
            "curl wrong-port",
            7,
            "curl: (7) Failed to connect to wrong-port port 80 after 0 ms: Couldn't connect to server",
        ),
        ("curl -m 3 my-app:81", 28, "curl: (28) Connection timed out after 3000 milliseconds"),
        (
            "curl --connect-timeout 2 my-app:81",
            28,
            "curl: (28) Failed to connect to my-app port 81 after 2000 ms: Timeout was reached",
        ),
        ("curl -f my-app/none", 22, "curl: (22) The requested URL returned error: 404"),
        ("curl db:5432", 52, "curl: (52) Empty reply from server"),
        ("curl cache:11211", 1, "curl: (1) Received HTTP/0.9 when not allowed"),
        ("curl ftp://my-app", 1, 'curl: (1) Protocol "ftp" not supported'),
        ("curl http://:80/", 3, "curl: (3) URL rejected: No host part in the URL"),
        (
            "curl my-app:http",
            3,
            "curl: (3) URL rejected: Port number was not a decimal number between 0 and 65535",
        ),
        (
            "curl --frobnicate my-app",
            2,
            "curl: option --frobnicate: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information",
        ),
    ],
)
def test_failures_have_curls_words_and_exit_codes(shop: Shop, line: str, code: int, text: str) -> None:
    result = shop.run(line)
    assert (result.exit_code, str(result)) == (code, text)


def test_https_to_a_server_without_tls_is_35() -> None:
    shop = Shop(service("plain", 443, 8080, selector={"app": "my-app"}))
    result = shop.run("curl https://plain")
    assert result.exit_code == 35 and "wrong version number" in result.stderr


def test_silent_hides_the_error_and_show_error_brings_it_back(shop: Shop) -> None:
    assert str(shop.run("curl -s nosuch")) == ""
    assert "(6)" in str(shop.run("curl -sS nosuch"))


def test_status_and_output_options(shop: Shop) -> None:
    result = shop.run("curl -s -o /dev/null -w '%{http_code} %{remote_port} %{nosuch}\\n' my-app")
    assert result.stdout == "200 80 \n"
    assert shop.run("curl -s -w '%{http_code}' nosuch").stdout == "000"
    head = shop.run("curl -I my-app").stdout
    assert head.startswith("HTTP/1.1 200 OK\r\nServer: nginx\r\n") and "Hello" not in head
    both = shop.run("curl -si my-app").stdout
    assert both.startswith("HTTP/1.1 200 OK") and "Hello" in both


def test_verbose_shows_the_address_before_it_fails(shop: Shop) -> None:
    ip = shop.get("Service", "nobody")["spec"]["clusterIP"]
    lines = shop.run("curl -v nobody").stderr.splitlines()
    assert f"*   Trying {ip}:80..." in lines and f"* connect to {ip} port 80 failed: Connection refused" in lines
    assert "Trying" not in shop.run("curl -v nosuch").stderr, "no address line means that the name was the trouble"


def test_resolve_skips_dns_and_host_header_stays(shop: Shop) -> None:
    ip = shop.moment.snapshot.pods["default/my-app-1"].ip
    result = shop.run(f"curl -sS --resolve shop.test:8080:{ip} http://shop.test:8080/")
    assert "for shop.test:8080" in result.stdout
    assert result.trace is not None and all(h.mechanism != "dns" for h in result.trace.hops)
    assert "for other.test" in shop.run("curl -sS -H 'Host: other.test' my-app").stdout


def test_data_makes_it_a_post(shop: Shop) -> None:
    assert "POST /" in shop.run("curl -sS -d a=b my-app").stdout
    assert "PUT /" in shop.run("curl -sS -X PUT -d a=b my-app").stdout


def test_the_same_command_prints_the_same_line() -> None:
    first, second = (Shop().run("curl -v my-app") for _ in range(2))
    assert str(first) == str(second)


def test_options_may_be_joined_and_carry_their_value() -> None:
    options = parse(["-sSm3", "-o/dev/null", "-H", "A: b", "web"])
    assert options.flags == {"silent", "show-error"} and options.seconds("max-time") == 3.0
    assert options.last("output") == "/dev/null" and options.urls == ["web"]
    with pytest.raises(Failure, match="requires parameter"):
        parse(["web", "-H"])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web", ("http", "web", 80, "/")),
        ("https://web.shop/a?b=c#d", ("https", "web.shop", 443, "/a?b=c")),
        ("http://[fd00::1]:8080", ("http", "[fd00::1]", 8080, "/")),
        ("web?x=1", ("http", "web", 80, "/?x=1")),
    ],
)
def test_urls(text: str, parts: tuple[str, str, int, str]) -> None:
    u = url(text)
    assert (u.scheme, u.host, u.port, u.path) == parts


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("wget -qO- nosuch", 1, "wget: bad address 'nosuch'"),
        ("wget -qO- http://nosuch:80/a", 1, "wget: bad address 'nosuch:80'"),
        ("wget -q -T 3 my-app:81", 1, "wget: download timed out"),
        ("wget -qO- my-app/none", 1, "wget: server returned error: HTTP/1.1 404 Not Found"),
        ("wget -qO- db:5432", 1, "wget: error getting response"),
        ("wget --frobnicate my-app", 1, "wget: unrecognized option: frobnicate"),
        ("wget my-app -O", 1, "wget: option requires an argument: O"),
    ],
)
def test_wget_fails_in_busyboxs_words(shop: Shop, line: str, code: int, text: str) -> None:
    result = shop.run(line)
    assert (result.exit_code, str(result)) == (code, text)


def test_wget_refused_names_the_address(shop: Shop) -> None:
    ip = shop.get("Service", "nobody")["spec"]["clusterIP"]
    assert str(shop.run("wget -q nobody")) == f"wget: can't connect to remote host ({ip}): Connection refused"
    assert shop.run("wget -qO- my-app").stdout.startswith("Hello from my-app-")
