"""Names, codes, tokens and offsets: what holds of all of them."""

from __future__ import annotations

import string
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.sessions.codes import CodeSpace
from app.sessions.head import Head
from app.sessions.names import MAX_NAME, clean_text
from app.sessions.tokens import Credential, TokenSigner

texts = st.text(st.characters(), max_size=200)
ids = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=1, max_size=32)
# With its mark an instance is as long as a token takes.
seeds = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=1, max_size=20)
alphabets = st.sampled_from([string.digits, "BCDFGHJKLMNPQRSTVWXZ", "abc", "Ab9"])
spaces = st.builds(CodeSpace, alphabets, st.integers(1, 8))
DIGITS = CodeSpace(string.digits, 6)


@given(texts)
def test_a_name_is_taken_in_one_form_or_refused(text: str) -> None:
    try:
        cleaned = clean_text(text, MAX_NAME)
    except ValueError:
        return
    assert len(cleaned) <= MAX_NAME
    assert cleaned == unicodedata.normalize("NFC", text).strip()
    assert clean_text(cleaned, MAX_NAME) == cleaned
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=MAX_NAME // 4))
def test_a_name_of_visible_characters_of_any_script_is_taken(text: str) -> None:
    assert clean_text(f"  {text}\u3000", MAX_NAME) == unicodedata.normalize("NFC", text)


# What the longest decompositions of characters of NFC are made of.
@pytest.mark.parametrize("text", ["a" * MAX_NAME, unicodedata.normalize("NFD", "\u1f82" * MAX_NAME)])
def test_a_name_is_as_long_as_it_is_in_nfc(text: str) -> None:
    assert len(clean_text(text, MAX_NAME)) == MAX_NAME
    with pytest.raises(ValueError, match=f"at most {MAX_NAME} characters"):
        clean_text(f"{text}b", MAX_NAME)


def test_thirty_combining_marks_in_a_row_are_taken_and_not_one_more() -> None:
    assert clean_text("x" + "\u0316" * 30, 100)
    with pytest.raises(ValueError, match="combining marks"):
        clean_text("x" + "\u0316" * 31, 100)


@pytest.mark.parametrize("text", ["a" + "\u0301\u0316" * 16, "\u0344" * 31, "e\u0301" * 2 + "\u0e38" * 40])
def test_a_long_run_of_combining_marks_is_refused(text: str) -> None:
    """Putting them in order takes time that grows with the square of their number."""
    with pytest.raises(ValueError, match="combining marks"):
        clean_text(text, 1000)


@pytest.mark.parametrize("text", ["ế" * 40, "ที่อยู่", "வணக்கம்", "👩🏽‍🚀 crème brûlée", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢"])
def test_combining_marks_as_people_write_them_are_taken(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert clean_text(unicodedata.normalize(form, text), 100) == unicodedata.normalize("NFC", text)


@given(spaces, st.integers(0))
def test_a_code_is_recognised_in_small_and_capital_letters_and_among_white_space(space: CodeSpace, seed: int) -> None:
    for code in next(space.candidates(str(seed))):
        assert space.parse(code) == code
        assert space.parse(f" {code.lower()}\n") == code
        assert space.parse(f"\t{code.upper()} ") == code


@given(st.one_of(texts, st.text("0123456789 -#/tv\u00a0\u2011\u0661", max_size=24)))
def test_only_six_ascii_digits_are_a_code_of_digits(text: str) -> None:
    trimmed = text.strip()
    *link, typed = trimmed.rsplit("#", 1)
    if link:
        typed = typed.removesuffix("/tv")
    is_link = link in ([], [""]) or ("/" in link[0] and "#" not in link[0] and len(link[0].split()) == 1)
    characters = list(typed)
    alone = all(both[0] in string.digits or both[1] in string.digits for both in pairwise(["-", *characters, "-"]))
    digits = "".join(character for character in characters if character not in " -\u00a0\u2011")
    is_code = len(digits) == 6 and all(character in string.digits for character in digits)
    assert DIGITS.parse(text) == (digits if is_link and alone and is_code else None)


@given(spaces, st.data())
def test_a_code_is_recognised_as_people_type_and_paste_it(space: CodeSpace, data: st.DataObject) -> None:
    code = data.draw(st.sampled_from(next(space.candidates("seed"))))
    separators = st.lists(
        st.sampled_from(["", "", " ", "-", "\u00a0", "\u2011"]), min_size=len(code), max_size=len(code)
    )
    typed = "".join(map("".join, zip(["", *data.draw(separators)[1:]], code, strict=True)))
    link = data.draw(
        st.sampled_from(["", "https://movies.example/", "movies.example/#x"[:-2], "http://[::1]:8080/a?b=c"])
    )
    end = data.draw(st.sampled_from(["", "/tv"]))
    for text in (typed, f"#{typed}", f"{link}#{typed}{end}"):
        assert space.parse(data.draw(st.sampled_from(["{}", " {}\n", "\t{}"])).format(text)) == code


def test_a_pasted_link_has_at_most_200_characters() -> None:
    longest = "https://" + "x" * 185 + "#123456"
    assert DIGITS.parse(f"  {longest}\n") == "123456"
    assert DIGITS.parse(longest.replace("#", "x#")) is None


def test_a_code_may_have_every_character_there_is() -> None:
    assert CodeSpace(string.digits, 10).parse("0123456789") == "0123456789"


@pytest.mark.parametrize(
    "text",
    [
        "12345",
        "1234567",
        "12 456",
        "12  3456",
        "123 -456",
        " - 123456",
        "-123456",
        "123456-",
        "123.456",
        "123_456",
        "123\t456",
        "123\u2003456",
        "##123456",
        "# 123456",
        "#",
        "123456#",
        "123456/tv",
        "#123456/TV",
        "#123456/tv/tv",
        "movies#123456",
        "see https://movies.example/#123456",
        "https://movies.example/#a#123456",
        "https://movies.example/#123456?x",
        "https://movies.example/#123456/",
        "https://movies.example/123456",
        "https://movies.example/#\u0661\u0662\u0663\u0664\u0665\u0666",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
        "-12345",
        "12345.",
        "0x1234",
        "",
    ],
)
def test_what_only_looks_like_a_code_is_none(text: str) -> None:
    assert DIGITS.parse(text) is None


@given(spaces, st.text("0123456789abcdef", min_size=1))
def test_the_codes_to_try_are_codes_and_follow_from_the_seed(space: CodeSpace, seed: str) -> None:
    batches = list(space.candidates(seed))
    assert batches == list(space.candidates(seed))
    assert [len(batch) for batch in batches] == [min(size, space.size) for size in (1, 64, 1024)]
    for batch in batches:
        assert len(set(batch)) == len(batch)
        assert all(space.parse(code) == code for code in batch)


@given(st.binary(min_size=1), ids, ids, st.integers(1, 10**6))
def test_a_token_says_what_it_was_made_for(secret: bytes, instance: str, participant: str, generation: int) -> None:
    signer = TokenSigner(lambda: secret)
    assert signer.verify(signer.participant(instance, participant)) == Credential("participant", instance, participant)
    assert signer.verify(signer.host(instance, generation)) == Credential("host", instance, str(generation))


@given(st.binary(min_size=1), st.binary(min_size=1), ids, ids)
def test_a_token_under_another_secret_is_none(secret: bytes, other: bytes, instance: str, participant: str) -> None:
    # HMAC pads keys with zeros, so these would be the same one.
    assume(secret.rstrip(b"\0") != other.rstrip(b"\0"))
    token = TokenSigner(lambda: other).participant(instance, participant)
    assert TokenSigner(lambda: secret).verify(token) is None


@given(ids, ids, st.data())
def test_a_token_changed_in_any_character_is_none(instance: str, participant: str, data: st.DataObject) -> None:
    signer = TokenSigner(lambda: b"secret")
    token = signer.participant(instance, participant)
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from(string.ascii_letters + string.digits + ".-_ \n\0é"))
    changed = token[:at] + character + token[at + 1 :]
    assert (signer.verify(changed) is None) == (changed != token)


@given(seeds, ids, ids)
def test_an_instance_tells_those_who_know_the_secret_of_which_code_it_is(seed: str, code: str, other: str) -> None:
    assume(code != other)
    signer = TokenSigner(lambda: b"secret")
    credential = Credential("participant", signer.instance(seed, code), "p")
    assert credential.instance.startswith(seed)
    assert signer.carries(credential, code)
    assert not signer.carries(credential, other)
    assert not TokenSigner(lambda: b"other").carries(credential, code)
    newer = TokenSigner(lambda: b"newer", lambda: [b"older", b"secret"])
    assert newer.carries(credential, code)
    assert newer.verify(signer.participant(credential.instance, "p")) == credential


@given(texts)
def test_any_other_text_is_no_token(text: str) -> None:
    assert TokenSigner(lambda: b"secret").verify(text) is None


@given(texts, st.integers(0))
def test_an_offset_says_where_a_session_stands(epoch: str, version: int) -> None:
    assert Head.parse(str(Head(epoch, version))) == (epoch, version)


@pytest.mark.parametrize("text", ["", "7", "epoch", "epoch-", "epoch-x", "epoch-1x", "epoch-\u00b2", "epoch-\u0663"])
def test_any_other_text_is_no_offset(text: str) -> None:
    with pytest.raises(ValueError, match="not an offset"):
        Head.parse(text)
