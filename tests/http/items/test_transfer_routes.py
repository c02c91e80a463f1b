"""Items that change hands, over HTTP (items-events.md 6.11a, 12.1)."""

from tests.http.circuits.conftest import Region, region

__all__ = ["region"]

VIEW = {
    "transfer_id", "dfid", "from_workspace_id", "to_workspace_id", "offered_by", "decided_by", "reason", "status",
    "created_at", "expires_at", "decided_at", "version",
}  # fmt: skip


async def test_an_offer_is_made_read_listed_and_accepted(region: Region) -> None:
    dfid = await region.item(region.ana, "1")
    home = (await region.bia.client.get("/api/workspace")).json()["workspace_id"]
    made = await region.ana.client.post(f"/api/items/{dfid}/transfer", json={"to_workspace_id": home, "reason": "sold"})
    offer = made.json()
    assert (made.status_code, set(offer), offer["status"]) == (201, VIEW, "open")
    address = made.headers["location"]
    assert address == f"/api/items/transfers/{offer['transfer_id']}"
    assert (await region.ana.client.get(address)).headers["etag"] == made.headers["etag"]
    assert (await region.bia.client.get(address)).json() == offer | {"offered_by": None}
    assert (await region.caio.client.get(address)).status_code == 404
    seen = (await region.bia.client.get(f"/api/items/{dfid}?include=contributions")).json()
    assert (seen["dfid"], seen["data"], seen["contributions"]) == (dfid, {}, [])
    listed = (await region.bia.client.get("/api/items/transfers?direction=in&status=open")).json()
    assert [one["transfer_id"] for one in listed["items"]] == [offer["transfer_id"]]
    assert (await region.bia.client.get("/api/items/transfers?direction=out")).json()["items"] == []
    stale = await region.bia.client.post(f"{address}/accept", headers={"if-match": '"7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    accepted = await region.bia.client.post(f"{address}/accept")
    assert (accepted.status_code, accepted.json()["status"], accepted.json()["version"]) == (200, "accepted", 2)
    assert (await region.ana.client.get(f"/api/items/{dfid}")).status_code == 404
    again = await region.bia.client.post(f"{address}/decline")
    assert (again.status_code, again.json()["code"], again.json()["current_status"]) == (
        409, "transfer_closed", "accepted",
    )  # fmt: skip


async def test_many_offers_answer_for_each_element(region: Region) -> None:
    dfids = [await region.item(region.ana, str(number)) for number in range(3)]
    home = (await region.bia.client.get("/api/workspace")).json()["workspace_id"]
    body = {"dfids": [*dfids, "DFID-20250108-000042-94E"], "to_workspace_id": home}
    offered = (await region.ana.client.post("/api/items/transfers", json=body)).json()
    assert offered["counts"] == {"open": 3, "refused": 1}
    assert offered["results"][3]["errors"][0]["code"] == "not_found"
    ids = [one["transfer_id"] for one in offered["results"][:3]]
    decided = await region.bia.client.post(
        "/api/items/transfers/decisions", json={"decision": "accept", "transfer_ids": ids}
    )
    assert decided.json()["counts"] == {"accepted": 3}
    late = {"to_workspace_id": home, "expires_at": "2099-01-01T00:00:00Z"}
    refused = await region.bia.client.post(f"/api/items/{dfids[0]}/transfer", json=late)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/expires_at")
