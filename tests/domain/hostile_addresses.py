"""Addresses that must not pass for a redirectUrl (RFC 9700 §2.1), by the trick they play."""

from __future__ import annotations

from domain.redirect import MAX_LENGTH

CONTROLS = [chr(code) for code in [*range(0x21), 0x7F, 0x80, 0x85, 0xA0, 0xAD]]
BEYOND_ASCII = (
    "\u3002\uff0e\uff61\uff0f\uff3c\uff1a\uff20\uff1f\uff03\uff05\uff41"
    "\u2024\u2025\u2044\u2215\u29f8\u200b\u200e\u202e\u2028\ufeff\ud800\xe9"
)
"""What browsers and libraries fold into dots, slashes and the like, or leave out."""
HOSTILE = [
    # no address at all
    *("", " ", "/", "//", "///", "?", "#", "https", "https:", "https:/", "https://", "https:///", "://evil"),
    *("/path", "path", "../path", "?a=b", "#a", "evil.com", "app.example.com:443", "null", "undefined"),
    # other schemes
    *("javascript:alert(1)", "JavaScript:alert(1)", "javascript://app.example.com/%0aalert(1)"),
    *(
        "data:text/html,<script>",
        "data://app.example.com",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://a",
    ),
    *("ftp://app.example.com", "ws://app.example.com", "wss://app.example.com", "about:blank", "mailto:a@b"),
    *("view-source:https://app.example.com", "httpss://app.example.com", "xhttps://app.example.com"),
    *("intent://app.example.com#Intent;end", "myapp://callback", "h\u0442tps://app.example.com"),
    # http beyond this machine
    *("http://app.example.com", "http://localhost.evil.com", "http://localhost.", "http://127.0.0.2"),
    *("http://0.0.0.0", "http://[::]", "http://0", "http://localhost@evil.com", "http://evil.com#localhost"),
    *("http://evil.com/localhost", "http://127.0.0.1.evil.com", "http://localhost:3000@evil.com"),
    # what browsers repair
    *(
        "//evil.com",
        "///evil.com",
        "////evil.com",
        "/\\evil.com",
        "\\\\evil.com",
        "\\/evil.com",
        "/\\/evil.com",
    ),
    *("https:evil.com", "https:/evil.com", "https:///evil.com", "https:////evil.com", "https:\\\\evil.com"),
    *("https:/\\evil.com", "https://\\evil.com", "https:\\evil.com", "https://evil.com\\@app.example.com"),
    *("https://app.example.com\\.evil.com", "https://app.example.com\\@evil.com", "http:evil.com"),
    # user names
    *(
        "https://good@evil.com",
        "https://good:pass@evil.com",
        "https://app.example.com@evil.com",
        "https://@evil.com",
    ),
    *(
        "https://:@evil.com",
        "https://good%2F@evil.com",
        "https://good%40evil.com@x.com",
        "https://a@b@evil.com",
    ),
    *(
        "https://app.example.com:443@evil.com",
        "https://app.example.com%2f@evil.com",
        "https://a:b:c@evil.com",
    ),
    *("https://app.example.com&@evil.com", "https://app.example.com;@evil.com", "https://[::1]@evil.com"),
    # hosts that are none, or that browsers rewrite
    *(
        "https://.",
        "https://..",
        "https://.evil.com",
        "https://evil..com",
        "https://evil.com.",
        "https://-evil.com",
    ),
    *(
        "https://evil-.com",
        "https://ev_il.com",
        "https://ev*il.com",
        "https://ev%69l.com",
        "https://%65vil.com",
    ),
    *(
        "https://evil.com%00.app.example.com",
        "https://evil.com%2f.app.example.com",
        "https://evil.com%23.x.com",
    ),
    *("https://evil,com", "https://evil;com", "https://evil!com", "https://(evil)", "https://evil$com"),
    *("https://0x7f.1", "https://0x7f000001", "https://2130706433", "https://127.1", "https://0177.0.0.1"),
    *("https://192.0.2.07", "https://1.2.3.4.5", "https://1.2.3", "https://256.1.1.1", "https://app.0x1"),
    *(
        "https://[",
        "https://]",
        "https://[]",
        "https://[::1",
        "https://::1",
        "https://[:::]",
        "https://[1.2.3.4]",
    ),
    *("https://[::ffff:192.0.2.7]", "https://[0:0:0:0:0:0:0:1]", "https://[::1%25eth0]", "https://[::g]"),
    *("https://[v1.a]", "https://[::1].evil.com", "https://[::1]evil.com", "https://a[::1]"),
    "https://" + "a" * 64 + ".com",
    # ports
    *("https://evil.com:", "https://evil.com:0", "https://evil.com:65536", "https://evil.com:99999"),
    *("https://evil.com:-1", "https://evil.com:+1", "https://evil.com:01", "https://evil.com:1e3"),
    *(
        "https://evil.com:80:90",
        "https://evil.com:http",
        "https://evil.com:\u0661",
        "https://evil.com:100000",
    ),
    # characters that do not belong in an address
    *(f"https://app.example.com/{char}" for char in ' "<>\\^`{|}'),
    *(f"https://app.example.com{char}" for char in CONTROLS),
    *(f"{char}https://app.example.com" for char in CONTROLS),
    *(f"https://app.example.com/{char}x" for char in CONTROLS),
    *(f"https://evil{char}com/" for char in BEYOND_ASCII),
    *("java\tscript:alert(1)", "ht\ntps://evil.com", "https:\t//evil.com", "https:/\r/evil.com"),
    *("https://app.example.com\r\nSet-Cookie: a=b", "https://app.example.com/%\r\n0d", "https://e\tvil.com"),
    # length
    "https://app.example.com/" + "a" * MAX_LENGTH,
]
