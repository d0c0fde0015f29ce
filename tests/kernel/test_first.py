def test_key(acme, globex):
    from stackbe.kernel.transactions import reading
    from apikeys.authentication import find
    from apikeys.text import read
    from apikeys.models import ApiKey
    assert find(read(acme.key)).tenant_id == acme.tenant_id
    with reading(acme.scope):
        assert ApiKey.unscoped.count() == 3
    assert ApiKey.unscoped.count() == 0

def test_unknown(acme_api):
    r = acme_api.get("/nope")
    assert r.status_code == 404, r.content
    assert r.json()["code"] == "NOT_FOUND"
