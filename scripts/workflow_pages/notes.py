"""The notes on the canvas of the shipped workflows. `pages.py` says where they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hosting.places import REPOSITORY
from hosting.shipped import NEWER, TITLES, queue_file

from .layout import Note

SOURCES = REPOSITORY / "ladivton_core" / "checkpoints" / "sources.json"
STOCK_FILES = Path(__file__).with_name("stock_files.json")
"""Others' models that ComfyUI's own nodes load, and where ComfyUI's own templates get them."""


def model_files(data_set: str) -> list[dict[str, Any]]:
    """Entries of `sources.json` that a try-on on published weights needs: those of its data set, and of both."""
    files = json.loads(SOURCES.read_text(encoding="utf-8"))["files"]
    return [file for file in files if file["group"] in (data_set, "sd2")]


def stock_files_of(*nodes: dict[str, Any]) -> list[dict[str, str]]:
    """Entries of `stock_files.json` that nodes in API format load."""
    known = {file["name"]: file for file in json.loads(STOCK_FILES.read_text(encoding="utf-8"))}
    values = (value for node in nodes for value in node["inputs"].values() if isinstance(value, str))
    return [known[value] for value in values if value in known]


START = Note(
    "Start here",
    f"""## Virtual try-on
Press **Run**: the example person gets the example garment. Nothing to download; less than a minute on a CPU.

**Another try**: press **Run** again; *seed* of *Try-On Sampler* changes after each run.

**Another garment**: choose or upload a picture in *Garment*.

**Another person**: choose a photo in *Person*. It also needs
* joints: an OpenPose JSON file, or a pose detector node (POSE_KEYPOINT) in the place of *The person's joints*;
* a parse map: a label PNG. Without one, open *{TITLES["tryon_painted_mask"]}* and paint the region instead.

**A photograph**: open *{TITLES["tryon_photo"]}*, which finds joints and mask by itself. The embedded models know \
drawn people only; with the published files take *{TITLES["tryon_photo_vitonhd"]}* or \
*{TITLES["tryon_photo_dresscode"]}*.""",
)
START_STAGES = Note(
    "What happens here",
    """**Agnostic Person** hides the old garment; its mask says what is repainted.

**Garment Warper** bends the garment into the pose. **Textual Inversion Encoder** writes its look into the prompt as \
16 words.

**Try-On Sampler** repaints the masked region, **EMASC Decoder** keeps faces and hands sharp.""",
)
START_SETTINGS = Note(
    "Settings",
    """*guidance* and *steps*: 1 and 5 for the embedded models, 7.5 and 50 in the paper.

*skip grow* and *skip feather*: 2 hides the thin line that EMASC draws along the mask; 0 in the paper.

*paste back* keeps every pixel outside the mask from the photo.

KSampler (euler, sgm_uniform) works in place of the sampler, VAE Decode in place of the decoder.""",
)

PAINTED = Note(
    "Start here",
    """## A painted mask instead of a parse map
Press **Run**: the example person has a mask painted over the old garment and gets the example garment. Nothing to \
download.

**Your own**: load a photo in *Person*, right-click the node, choose *Open in MaskEditor*, paint over the garment that \
is to go, and save. In Nodes 2.0 point at the picture and press the mask button.

Paint generously: a little beyond the old garment, and wherever the new one reaches, such as bare arms under long \
sleeves. Leave the face and the hands free.

**Joints** are still needed, to bend the garment into the pose: an OpenPose JSON file in *The person's joints*, or a \
pose detector node (POSE_KEYPOINT) in its place.""",
)
PAINTED_MASK = Note(
    "How the mask travels",
    """The editor stores what is painted as transparency. *opaque* of *Person* is white where nothing is painted, so \
*Invert Mask* turns it round for *garment_mask*.

The joints add a stroke along the arms, because sleeves change with the garment. Without it: disconnect *keypoints* \
of *Agnostic Person*.

*grow* there widens the region a little: 3 here, 10 for a parse map, which knows where hair and trousers begin.

*keep_mask* protects what must never change: hair over the shoulders, a bag.""",
)


def files(data_set: str) -> Note:
    """What a workflow on the published weights needs, where it goes, and what it may be used for."""
    folders: dict[str, list[str]] = {}
    for file in model_files(data_set):
        folders.setdefault(file["folder"], []).append(f"{file['name']} ({file['elements'] * 2 / 1e9:.1f} GB or twice)")
    listed = "\n\n".join(f"**models/{folder}**: {', '.join(names)}" for folder, names in folders.items())
    return Note(
        "Files and licence",
        f"""## What you need
{listed}

The four of LaDI-VTON are in the authors' [release](https://github.com/miccunifi/ladi-vton/releases), \
**CC BY-NC 4.0: non-commercial use only**.

Press **Run** without them: *Load Try-On Models* says which are missing, and one command that fetches them all, names \
them and puts them there.

Files under other names load with the loader of each part (*Load Try-On Model* and so on).

No files yet? *{TITLES["tryon_embedded"]}* needs none.""",
    )


VITONHD = Note(
    "The paper's setup",
    """## VITON-HD, upper bodies, as published
512 x 384, 50 DDIM steps, guidance 7.5, seed 1234, posteriors sampled, no paste-back.

*Fit Person* stretches as the data set's reader does (VITON-HD is 3:4, so nothing is distorted). For photos of other \
proportions choose *pad* or *crop* there, and *skip* for *missing joints*.""",
)
VITONHD_OWN = Note(
    "Your own pictures",
    f"""A new person needs joints (OpenPose JSON, or a pose detector's POSE_KEYPOINT) and a parse map (LIP20 labels, \
or masks connected to *Agnostic Person*).

VITON-HD's own JSON counts in 768 x 1024: choose that in *The person's joints*.

Whole data sets, sample by sample: *{TITLES["paper_vitonhd"]}*.""",
)
KSAMPLER = Note(
    "Stock nodes",
    """## Stock sampler, stock loaders
MODEL, VAE, CLIP and CLIP_VISION are ComfyUI's own, so every sampling node works here: LoRA, ControlNet, FreeU, other \
samplers.

*ddim* with *ddim_uniform* visits the paper's timesteps; the latents differ from the paper's loop by about 0.3 %, \
which *Try-On Sampler* closes.

KSampler does not ask the model for its settings: 50 steps and cfg 7.5 here are those of the published models. With \
the embedded ones set 5 steps, cfg 1, *euler* and *sgm_uniform*.""",
)
KSAMPLER_DECODERS = Note(
    "VAE Decode and EMASC Decoder",
    """Both decode the same latents. *VAE Decode* has nothing but them: faces and hands lose detail.

*EMASC Decoder* also takes the encoder's features outside the mask (*skip features* of *Try-On Conditioning*): the \
paper's third contribution.""",
)
DRESSCODE = Note(
    "The paper's setup",
    f"""## Dress Code, three categories, as published
One row a category; the models are loaded once. 512 x 384, 50 DDIM steps, guidance 7.5, seed 1234, posteriors sampled, \
no paste-back.

**One category only**: select the groups of the other rows and press Ctrl+M (mute).

*category* stands in *Agnostic Person* and *Textual Inversion Encoder*: the same in both.

Parse maps are ATR18, as Dress Code's: the arms' stroke is 45 px wide there and the neck is repainted. With a LIP \
parser choose LIP20 in *The person's parse map*.

The published code leaves skirts in place when a lower body is exchanged; *repaint skirt* takes them as well.

Whole data sets, sample by sample: *{TITLES["paper_dresscode"]}*.""",
)


def data_set(name: str, opening: str, stepping: str) -> Note:
    """How to change from the drawn example to a copy of a data set."""
    return Note(
        "Start here",
        f"""## {name}, sample by sample
Press **Run**: {opening}, with the small embedded models. Nothing to download.

**Your own copy**: put or link it into *input*, into *models/ladi_vton_datasets*, or name its folder under \
*ladi_vton_datasets:* in extra_model_paths.yaml; press R and choose it under *root*.

**Step through it**: {stepping}""",
    )


PUBLISHED_MODELS = """**The published models** (CC BY-NC 4.0: non-commercial): choose them in *Load Try-On Models*. \
Steps, guidance, *skip grow* and *skip feather* follow what the models recommend, which for these is the paper's \
setup."""


def paper_setup() -> Note:
    """What is as in the paper, and what to change to make everything so."""
    return Note(
        "The paper's setup",
        f"""*missing joints* and *neck* are *published*: the masks are those of the paper's code, to the pixel. \
Person and garment come from the data set at 384 x 512, so nothing is fitted or stretched here.

Item *i* of a batch uses seed + i.

{PUBLISHED_MODELS}""",
    )


def paper_results(name: str) -> Note:
    """Where the pictures go."""
    return Note(
        "Results",
        f"""*Save Result* writes output/ladi_vton/{name}/ORDER/CATEGORY/PERSON as JPEG of quality 95, where the \
paper's evaluation looks. *overwrite* is on here.

The whole test set at once, with metrics: python ladivton_core/start.py evaluation (see docs/evaluation.md).

Paired, the result can be compared with the person's own photo; unpaired it is a new outfit.""",
    )


ABLATION = Note(
    "Start here",
    f"""## What each part does
Press **Run**: one person, one garment; a column for each part left out, a row for each seed. The embedded models and \
the drawn example need no download.

**Your own copy** of a data set: put or link it into *input*, into *models/ladi_vton_datasets*, or name its folder \
under *ladi_vton_datasets:* in extra_model_paths.yaml; press R and choose it under *root*.

{PUBLISHED_MODELS} Use the same steps and guidance in all three samplers.""",
)
ABLATION_PARTS = Note(
    "How the parts are left out",
    """* **no EMASC**: the same latents through the plain *VAE Decode*.
* **no pseudo-words**: the empty prompt in place of the garment's words.
* **no warped garment**: *cloth cond rate* 0, so that the model never sees it.
* no pose: *no pose* of *Try-On Conditioning* (not shown).

Rows are seeds: row *i* uses seed + i. For rows of another kind set it in all three samplers, run again, and put the \
sheets side by side, e.g. guidance 1, 2.5, 5, 7.5.

docs/ablations.md has figures for the embedded models.""",
)

WARDROBE = Note(
    "Start here",
    """## Everybody in everything
Press **Run**: two people try on three garments, and one sheet shows it.

**Another garment**: choose it in *Garment 1*, or connect up to eight to *Wardrobe Garments*, each behind a \
*Prepare Garment*. Nothing of the people runs again: neither pose nor mask nor VAE.

**Another person**: a chain like that of *Person 1*, into *Wardrobe People*. The others are not encoded again.

**Names** for the sheet, such as *Ann, Bo*, go into *Wardrobe Sheet*.""",
)
WARDROBE_RUN = Note(
    "How it runs",
    """*Garment Category* is wired to every *category*: one value for people and prompts.

*Wardrobe People* hands the people on as a list: what is behind it runs once a person, each time on the batch of all \
garments. A row is what the plain graph gives for that person and these garments.

Two garments in one: *Blend Pseudo-Words* takes the words of two *Textual Inversion Encoders*.""",
)
SECOND_PASS = Note(
    "Start here",
    """## Larger in two passes
The first pass paints at the models' own size. The second one starts from it, enlarged, with less noise \
(*denoise* 0.3), and sees person and garment at the larger size.

A conditioning belongs to one size: each pass has its own *Fit Person*, *Pose Map*, *Agnostic Person*, \
*Garment Warper* and *Try-On Conditioning*. What counts in pixels grows along: *sigma*, *grow*.

A lower *denoise* keeps more of the first pass, a higher one repaints more. The embedded models know one size and \
paint arms twice beyond a quarter more.""",
)
SECOND_PASS_PIXELS = Note(
    "Pixels instead of latents",
    """*Upscale Image* on the decoded first pass, then *VAE Encode*, works in the place of *Upscale Latent*.""",
)

_PHOTOGRAPH = f"""The embedded models know drawn people only. For a photograph the published ones do better: \
*{TITLES["tryon_photo_vitonhd"]}* for tops, *{TITLES["tryon_photo_dresscode"]}* for all garments. They take mask and \
garment otherwise than here."""
_FINDER = """*Find Person* needs the package ai-edge-litert in ComfyUI's Python and three files (10 MB). Where they \
are missing it says so when it runs, with one command that gets all of it. It runs on this machine: nothing leaves \
it."""
PHOTO = Note(
    "Start here",
    f"""## A photo and a garment in, the finished photo out
Press **Run**. For your own, choose pictures in *Person* (with the head, seen from the front) and *Garment* (alone, on \
a plain ground). For trousers, skirts and dresses change *Which garment*.

{_FINDER}

{_PHOTOGRAPH}""",
)


def published_photo(worn: str) -> Note:
    """A photo on published files; `worn` says what they know."""
    return Note(
        "Start here",
        f"""## Your photo, the published models
Choose pictures in *Person* (with the head, seen from the front) and *Garment* (alone, on a plain ground), and press \
**Run**. {worn}

{_FINDER}""",
    )


PHOTO_MASK = Note(
    "What is repainted",
    """*Hide the old garment* hides it from the warper. *Body and garment* says what is repainted: the body and where \
the warped garment lies, so that walls and hair stay. *keep mask* there protects more: a bag, hair over the shoulders.

The garment is taken as the spline warps it (*coarse* of *Warp the garment*): the embedded refinement knows drawn \
people only. The published models know their own masks and the refined garment: use their own photo templates.""",
)
PHOTO_PEOPLE = Note(
    "Several people, several frames",
    """*Which person* is wired to every node that asks: -1 takes the largest, 0 the one that is found first. \
The rest of the photo stays what it is, pixel for pixel.

**Frames of a video** go in as a batch: set *steady* of *Frame the person* to *smooth* or *one window*.""",
)
OUTFIT = Note(
    "Start here",
    f"""## A whole outfit
First the trousers or skirt, then the top over it, each into the photo that the pass before left.

For a dress set *First garment* to *dresses*, bypass the second row (select it, Ctrl+B), and wire the first \
*Back into the photo* to *Result*.

{_FINDER}

{_PHOTOGRAPH}""",
)
POSE_NODES = Note(
    "Start here",
    f"""## Joints from another pack
Connect the POSE_KEYPOINT of any pose detector (DWPose, OpenPose, SDPose) to *Frame the person* in place of the file.

A cut-out of the person, white where they are, improves the mask: connect it to *mask* of *Frame the person*, and \
that node's mask to *silhouette* of *Hide the old garment*.

{_PHOTOGRAPH}""",
)


def stock_files(name: str) -> Note:
    """Which of others' files a workflow wants, where they come from and go, and which ComfyUI."""
    lines, api = [], json.loads(queue_file(name).read_text(encoding="utf-8"))
    for file in stock_files_of(*api.values()):
        source, licence = file["url"].split("/resolve/")[0], f", {file['licence']}" * bool(file["licence"])
        lines.append(f"**models/{file['folder']}**: [{file['name']}]({source}) ({file['size']}{licence})")
    if name in NEWER:
        lines.append(f"**A newer ComfyUI** than 0.3.75, the oldest this pack runs in: tried with {NEWER[name][:-2]}.")
    lines.append(
        "Other files of the same models do as well: choose them in the loaders. Licences are as their pages say."
    )
    return Note("Files and licences", "\n\n".join(("## What you need", *lines)))


_BETWEEN = """*Find Person* and *Frame the person* bring the photo to the model; *Back into the photo* brings the \
result home at the photo's size"""
_MASKED = f"{_BETWEEN}: every pixel outside the mask stays what it is."
_OWN_PICTURES = """For your own, choose pictures in *Person* (with the head) and *Garment* (alone, on a plain ground). \
For trousers, skirts and dresses change *Which garment*."""
ANY_INPAINTING = Note(
    "Start here",
    f"""## Any inpainting checkpoint
{_MASKED}

Choose one in *The inpainting checkpoint*: Stable Diffusion 1.5, 2 or XL for inpainting.

{_OWN_PICTURES}

{_FINDER}""",
)
ANY_INPAINTING_GARMENT = Note(
    "How the garment gets in",
    """Such a model reads words and sees no garment. So *Warp the garment* bends it onto the body, and the model \
starts from that: a lower *denoise* of *KSampler* keeps more of it, 1 goes by the words alone.

Say what is worn in *What is worn, in words*.

**Larger**: *width* and *height* of *Frame the person* and *Garment on white*, 768 x 1024 for XL.""",
)
ANY_FLUX_FILL = Note(
    "Start here",
    f"""## FLUX Fill
{_MASKED}

Redux shows FLUX the garment: *strength* of *The garment as a prompt* says how much. Details of a print come in words: \
*What is worn, in words*.

{_OWN_PICTURES}

{_FINDER}""",
)
_EDITOR = f"""{_BETWEEN}. The editor gives a whole new picture; only what it changed is taken, moved back to where \
the photo is, with the photo's colours, face and hands.

Words for the editor stand in *What to do with the pictures*.

{_OWN_PICTURES}

{_FINDER}"""
ANY_QWEN_EDIT = Note(
    "Start here",
    f"""## Qwen Image Edit: two pictures in
{_EDITOR}

Edit 2511 works in this graph where ComfyUI is new enough for it: 40 steps, cfg 4, a shift of 3.1.""",
)
ANY_KLEIN = Note(
    "Start here",
    f"""## FLUX Klein: two pictures in
{_EDITOR}

This is the quick Klein of four steps. For the base one choose its file in *Klein*, 20 steps and cfg 5.""",
)
ANY_ANOTHER_PACK = Note(
    "Start here",
    f"""## Another try-on pack's node
*Put the other pack's node here* is a stand-in: it pastes the garment's picture into the mask, to show what goes \
where. Put the other node in its place: person, garment and mask in, a picture out.

{_MASKED} The result may have any size of the same proportions.

A node that asks for no mask gives a whole new picture: take *mask* off *Back into the photo* and set *only changed* \
and *register* there.

{_OWN_PICTURES}

{_FINDER}""",
)
PHOTO_COMFYUI = Note(
    "Start here",
    f"""## Pose and cut-out by ComfyUI's own models
SAM 3 finds the person, SDPose the joints, BiRefNet cuts out the garment; the rest is *{TITLES["tryon_photo"]}*.

SDPose also takes what *Find Person* cannot: somebody from chest to shoes. Of several people SAM 3 takes the surest; \
say more in *What SAM 3 looks for*, such as *person in red*.

{_PHOTOGRAPH}""",
)
