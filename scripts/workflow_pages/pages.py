"""What stands where on the canvas of each shipped workflow: groups in the order of the paper's stages, left to right.

Numbers are the node ids of `workflows/api/`. A node that is missing here, or not there, stops `make_workflows.py`.
"""

from __future__ import annotations

from hosting.shipped import STOCK_MODELS

from . import notes
from .layout import NOTE_WIDTH, WIDTH, Group, Page

BLUE, GREEN, PURPLE, VIOLET, ORANGE, GREY = "#3f789e", "#88AA88", "#a1309b", "#7a4a9a", "#b06634", "#8888AA"
MODELS, RESULT, SHEET = 280, 330, 400  # widths: long file names, a picture to look at, several side by side


def reading(*columns, title: str = "Read me") -> Group:
    """Notes, to the left of everything."""
    return Group(title, GREY, columns, NOTE_WIDTH)


START = Page(
    rows=(
        (
            Group("1  Person, garment, models", BLUE, ((1, 3, 5), (2, 4))),
            Group("2  Pose and mask", GREEN, ((6, 7, 8),)),
            Group("3  Warp and words", PURPLE, ((9, 10, 12, 11),)),
            Group("4  Denoising", ORANGE, ((13, 14, 15),)),
            Group("5  Picture", GREY, ((16, 17),), RESULT),
        ),
    ),
    margin=(reading((notes.START, notes.START_STAGES, notes.START_SETTINGS)),),
)
PAINTED = Page(
    rows=(
        (
            Group("1  Person, garment, models", BLUE, ((1, 3, 5), (2, 4))),
            Group("2  Pose and mask", GREEN, ((6, 7, 8),)),
            Group("3  Warp and words", PURPLE, ((9, 10, 12, 11),)),
            Group("4  Denoising", ORANGE, ((13, 14, 15),)),
            Group("5  Picture", GREY, ((16, 17),), RESULT),
        ),
    ),
    margin=(reading((notes.PAINTED, notes.PAINTED_MASK)),),
)


def published(margin: Group, sampler: str, picture: Group) -> Page:
    """One lane on the published files."""
    return Page(
        rows=(
            (
                Group("1  Person, garment, models", BLUE, ((9, 12, 1), (10, 11, 13))),
                Group("2  Pose and mask", GREEN, ((14, 15, 16),)),
                Group("3  Warp and words", PURPLE, ((17, 18, 20, 19),)),
                Group(f"4  {sampler}", ORANGE, ((8, 21, 22),)),
                picture,
            ),
        ),
        margin=(margin,),
    )


VITONHD = published(
    reading((notes.files("vitonhd"), notes.VITONHD, notes.VITONHD_OWN)),
    "Denoising",
    Group("5  Picture", GREY, ((23, 24),), RESULT),
)
KSAMPLER = published(
    reading((notes.files("vitonhd"), notes.KSAMPLER, notes.KSAMPLER_DECODERS)),
    "KSampler",
    Group("5  With and without EMASC", GREY, ((23, 24, 25, 26),), RESULT),
)


def lane(title: str, color: str, first: int, *models: int) -> tuple[Group, ...]:
    """A category of Dress Code. Its sixteen nodes follow each other from `first`, in the order of the stages; the
    first one also shows what all of them share.
    """
    person, garment, joints, parse, fit, pose, mask, masked, prepare, warp, warped, *rest = range(first, first + 16)
    words, conditioning, sampler, decoder, result = rest
    inputs = ((person, garment, joints, *models[:1]), (parse, prepare, fit, *models[1:]))
    stages = ((pose, mask, masked), (warp, words, warped), (conditioning, sampler), (decoder, result))
    return (Group(title, color, (*inputs, *stages), (WIDTH,) * 5 + (RESULT,)),)


DRESSCODE = Page(
    rows=(
        lane("Models, upper body", GREEN, 9, 1, 8),
        lane("Lower body", PURPLE, 25),
        lane("Dresses", ORANGE, 41),
    ),
    margin=(reading((notes.files("dresscode"), notes.DRESSCODE)),),
)


def paper(name: str, start: notes.Note) -> Page:
    """A data set by batches."""
    return Page(
        rows=(
            (
                Group("1  Data set and models", BLUE, ((1, 2, 3),)),
                Group("2  Pose and mask", GREEN, ((5, 4, 8),)),
                Group("3  Warp and words", PURPLE, ((6, 7, 9),)),
                Group("4  Denoising", ORANGE, ((10, 11),)),
                Group("5  Result, and side by side", GREY, ((12, 13, 14, 15),), SHEET),
            ),
        ),
        margin=(reading((start, notes.paper_setup(), notes.paper_results(name))),),
    )


ABLATION = Page(
    rows=(
        (
            Group("1  Data set and models", BLUE, ((1, 2, 3),)),
            Group("2  Person", GREEN, ((5, 4),)),
            Group("3  Garment", PURPLE, ((6, 7),)),
            Group("4  What the model sees", VIOLET, ((8, 9, 10),)),
            Group("5  Denoising", ORANGE, ((11, 12, 13),)),
        ),
        (
            Group("6  Decoding", GREY, ((14, 15), (16, 17))),
            Group("7  Comparison", GREY, ((18,), (19,)), (400, 600)),
        ),
    ),
    margin=(reading((notes.ABLATION, notes.ABLATION_PARTS)),),
)

WARDROBE = Page(
    rows=(
        (
            Group("Category and models", BLUE, ((1, 2, 3),)),
            Group("1  Person 1", GREEN, ((4, 5, 6), (7, 8, 9))),
            Group("2  Person 2", GREEN, ((10,), (11, 12, 13))),
        ),
        (
            Group("3  Garments", PURPLE, ((15, 16), (17, 18, 19))),
            Group("4  Everybody in everything", ORANGE, ((14, 20, 21), (22, 23))),
            Group("5  Sheet", GREY, ((24, 25),), SHEET),
        ),
    ),
    margin=(reading((notes.WARDROBE, notes.WARDROBE_RUN)),),
)
SECOND_PASS = Page(
    rows=(
        (
            Group("Person, garment, models", BLUE, ((1, 2, 3, 4), (5, 6, 8))),
            Group("1  First pass", GREEN, ((9, 10, 11), (12, 13, 7), (14, 15))),
        ),
        (
            Group("2  Second pass, conditioned anew", ORANGE, ((16, 17, 18), (19, 20, 21), (22, 23))),
            Group("3  Pictures", GREY, ((24, 25), (26, 27)), RESULT),
        ),
    ),
    margin=(reading((notes.SECOND_PASS, notes.SECOND_PASS_PIXELS)),),
)


def photo_pass(name: str, first: int, *before: int, body: int | None = None, saves: bool = True) -> tuple[Group, ...]:
    """A try-on on a photo: its nodes follow each other from `first`, in the order of the stages, below `before`.

    What is repainted is shown beside Agnostic Person, or beside Body Mask, whose id is `body`.
    """
    fit, mask, masked, pose, prepare, warp, warped, words, empty, *rest = range(first, first + 9 + 4 + saves)
    conditioning, sampler, decoder, *picture = rest
    here, there = ((masked,), ()) if body is None else ((), (body, masked))
    return (
        Group(f"{name}: person", GREEN, ((*before, fit, pose), (mask, *here))),
        Group(f"{name}: garment", PURPLE, ((prepare, warp, warped), (*there, words, empty))),
        Group(f"{name}: picture", ORANGE, ((conditioning, sampler), (decoder, *picture)), (WIDTH, RESULT)),
    )


def photo(*read: notes.Note, body: int | None = None) -> Page:
    """One photo and one garment; `body` as for `photo_pass`."""
    return Page(
        rows=(
            (
                Group("Photo, garment, models", BLUE, ((1, 2), (3, 20, 21))),
                Group("Who", GREEN, ((4, 5),)),
                photo_pass("Try-on", 6, body=body)[0],
            ),
            photo_pass("Try-on", 6, body=body)[1:],
        ),
        margin=(reading(read),),
    )


OUTFIT = Page(
    rows=(
        (
            Group("Photo, garments, models", BLUE, ((1, 2, 3), (4, 35, 5)), MODELS),
            photo_pass("First", 6, 33, body=36, saves=False)[0],
        ),
        photo_pass("First", 6, 33, body=36, saves=False)[1:],
        photo_pass("Second", 19, 34, body=37),
    ),
    margin=(reading((notes.OUTFIT,)),),
)
POSE_NODES = Page(
    rows=(
        (
            Group("Photo, joints, garment, models", BLUE, ((1, 3, 4), (2, 19, 20)), MODELS),
            photo_pass("Try-on", 5, body=21)[0],
        ),
        photo_pass("Try-on", 5, body=21)[1:],
    ),
    margin=(reading((notes.POSE_NODES,)),),
)


def any_model(name: str, start: notes.Note, *rows: tuple[Group, ...], more: tuple[notes.Note, ...] = ()) -> Page:
    """Others' models between our nodes: what comes before them is the same, nodes 1 to 6."""
    front = (
        Group("Photo, garment", BLUE, ((1, 2),)),
        Group("Who", GREEN, ((3, 4, 5, 6),)),
    )
    files = (notes.stock_files(name),) if name in STOCK_MODELS else ()
    return Page(rows=((*front, *rows[0]), *rows[1:]), margin=(reading((start, *more, *files)),))


PICTURE, MASK, MODEL = "Picture", "What is repainted", "The model"
PAGES: dict[str, Page] = {
    "any_inpainting": any_model(
        "any_inpainting",
        notes.ANY_INPAINTING,
        (Group("The garment on the body", PURPLE, ((7, 8, 9), (10, 11, 14))), Group(MASK, VIOLET, ((12, 13),))),
        (
            Group("What the model starts from", VIOLET, ((15, 16), (17,)), (WIDTH, RESULT)),
            Group(MODEL, ORANGE, ((18, 19, 20), (21, 22)), MODELS),
            Group(PICTURE, GREY, ((23, 24, 25),), RESULT),
        ),
        more=(notes.ANY_INPAINTING_GARMENT,),
    ),
    "any_flux_fill": any_model(
        "any_flux_fill",
        notes.ANY_FLUX_FILL,
        (Group(MASK, VIOLET, ((7, 8),)), Group(MODEL, ORANGE, ((10, 11, 12), (13, 14, 9)), MODELS)),
        (
            Group("The garment as a prompt", PURPLE, ((15, 16), (17, 18, 19))),
            Group("Paint", ORANGE, ((20, 21), (22, 23))),
            Group(PICTURE, GREY, ((24,), (25,)), (WIDTH, RESULT)),
        ),
    ),
    "any_qwen_edit": any_model(
        "any_qwen_edit",
        notes.ANY_QWEN_EDIT,
        (Group(MODEL, ORANGE, ((7, 8, 9),), MODELS), Group("Two pictures in", PURPLE, ((10, 12), (11, 13, 14)))),
        (
            Group("Paint", ORANGE, ((15,), (16, 17)), (WIDTH, RESULT)),
            Group(PICTURE, GREY, ((18,), (19,)), (WIDTH, RESULT)),
        ),
    ),
    "any_klein": any_model(
        "any_klein",
        notes.ANY_KLEIN,
        (
            Group(MODEL, ORANGE, ((8, 9, 10),), MODELS),
            Group("Two pictures in", PURPLE, ((7, 11), (12, 13, 14, 15, 16))),
        ),
        (
            Group("Paint", ORANGE, ((18, 19, 20), (17, 21, 22), (23, 24), (25,)), (WIDTH, WIDTH, WIDTH, RESULT)),
            Group(PICTURE, GREY, ((26,), (27,)), (WIDTH, RESULT)),
        ),
    ),
    "any_another_pack": any_model(
        "any_another_pack",
        notes.ANY_ANOTHER_PACK,
        (
            Group(MASK, VIOLET, ((7, 8),)),
            Group("The other pack", ORANGE, ((9, 10),)),
            Group(PICTURE, GREY, ((11,), (12,)), (WIDTH, RESULT)),
        ),
    ),
    "tryon_photo_comfyui": Page(
        rows=(
            (
                Group("Photo, garment, models", BLUE, ((1, 2), (3, 4)), MODELS),
                Group("Person", GREEN, ((5, 6, 7), (8, 9)), MODELS),
                Group("Garment", PURPLE, ((10, 11),), MODELS),
            ),
            (
                Group("Frame", GREEN, ((12, 13, 15),)),
                Group("Warp and words", PURPLE, ((16, 18, 19), (17, 14, 20, 21))),
                Group("Denoising", ORANGE, ((22, 23),)),
                Group(PICTURE, GREY, ((24, 25, 26),), RESULT),
            ),
        ),
        margin=(reading((notes.PHOTO_COMFYUI, notes.stock_files("tryon_photo_comfyui"))),),
    ),
    "tryon_photo": photo(notes.PHOTO, notes.PHOTO_MASK, notes.PHOTO_PEOPLE, body=22),
    "tryon_photo_vitonhd": photo(
        notes.published_photo("VITON-HD's models know tops."), notes.files("vitonhd"), notes.PHOTO_PEOPLE
    ),
    "tryon_photo_dresscode": photo(
        notes.published_photo("Dress Code's models know tops, trousers, skirts and dresses: change *Which garment*."),
        notes.files("dresscode"),
        notes.PHOTO_PEOPLE,
    ),
    "tryon_photo_outfit": OUTFIT,
    "tryon_photo_pose_nodes": POSE_NODES,
    "tryon_embedded": START,
    "tryon_painted_mask": PAINTED,
    "tryon_vitonhd": VITONHD,
    "tryon_dresscode": DRESSCODE,
    "tryon_ksampler": KSAMPLER,
    "wardrobe": WARDROBE,
    "second_pass": SECOND_PASS,
    "paper_vitonhd": paper(
        "paper_vitonhd",
        notes.data_set(
            "VITON-HD",
            "two drawn people in VITON-HD's layout get each other's garments",
            "set *index* to *increment*; *batch size* takes several at once.",
        ),
    ),
    "paper_dresscode": paper(
        "paper_dresscode",
        notes.data_set(
            "Dress Code",
            "two drawn people in Dress Code's layout swap their dresses",
            "set *index* to *increment*. A batch is of one *category*; the masks and prompts differ.",
        ),
    ),
    "paper_ablation": ABLATION,
}
"""Every shipped workflow by its short name."""
