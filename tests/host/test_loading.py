"""ComfyUI loads the pack whole."""

NODE_IDS = {
    "LadiVTON_LoadEmbedded",
    "LadiVTON_LoadTryOnModel",
    "LadiVTON_LoadWarper",
    "LadiVTON_LoadInversionAdapter",
    "LadiVTON_LoadEMASC",
    "LadiVTON_LoadKeypoints",
    "LadiVTON_LoadParseMap",
    "LadiVTON_PoseMap",
    "LadiVTON_AgnosticPerson",
    "LadiVTON_PrepareGarment",
    "LadiVTON_GarmentWarper",
    "LadiVTON_TextualInversionEncoder",
    "LadiVTON_TryOnConditioning",
    "LadiVTON_TryOnSampler",
    "LadiVTON_EMASCDecoder",
    "LadiVTON_DatasetSample",
    "LadiVTON_SaveResult",
}


def test_no_import_failed(comfy_server):
    ours = [line for line in comfy_server.failed_imports() if "LaDI-VTON" in line]
    assert not ours, comfy_server.log()


def test_every_node_is_listed_by_its_stable_id(client):
    assert client.object_info().keys() >= NODE_IDS


def test_every_input_of_every_node_has_a_tooltip(client):
    silent = [
        f"{name}.{key}"
        for name, node in client.object_info().items()
        if name.startswith("LadiVTON_")
        for group in ("required", "optional")
        for key, spec in node["input"].get(group, {}).items()
        if not spec[1].get("tooltip")
    ]
    assert not silent


def test_every_node_says_what_it_does_and_where_it_belongs(client):
    ours = [node for name, node in client.object_info().items() if name.startswith("LadiVTON_")]
    assert all(node["description"] and node["display_name"] != node["name"] for node in ours)
    assert all(node["category"].lower().startswith("ladi") for node in ours)
