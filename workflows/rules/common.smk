# The configuration and the sample sheet, checked before anything runs; and what they ask for.

import os
import re

import pandas as pd
from snakemake.exceptions import WorkflowError
from snakemake.io import contains_wildcard

ALIGNMENTS = (".bam", ".cram", ".sam")
FASTA = (".fasta", ".fa", ".fna")
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")


def checked(value, schema, name, lines=()):
    """Fill in defaults; raise one line where a value is none that the schema knows.

    `lines` are numbers of the lines of a table's rows.
    """
    try:
        validate(value, schema)
    except WorkflowError as error:
        reason = re.search(r"ValidationError: (.*)", str(error))
        place = re.search(r"On instance((?:\['\w+'\])+):", str(error))
        keys = re.findall(r"\w+", place[1]) if place else []
        row = re.search(r"validating row (\d+) of", str(error))
        line = [f"line {lines[int(row[1])]}"] if row else []
        where = ", ".join([name, *line, *filter(None, [": ".join(keys)])])
        raise WorkflowError(f"{where}: {reason[1] if reason else error}") from None


def read_samples(path):
    """The sample sheet, by sample; empty cells are missing values."""
    # A sample may be called NA: only what is empty is missing.
    options = {
        "sep": "\t",
        "dtype": str,
        "skipinitialspace": True,
        "keep_default_na": False,
        "na_values": [""],
    }
    try:
        # With a header, cells beyond its columns would make the first column an index, and shift all others.
        pd.read_csv(path, header=None, **options)
        table = pd.read_csv(path, **options)
        with open(path) as file:
            # Pandas skips lines without a cell.
            lines = [
                number for number, line in enumerate(file, 1) if line.strip(" \r\n")
            ]
    except (OSError, ValueError) as error:
        long = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if long:
            raise WorkflowError(
                f"{path}, line {long[2]}: has {long[3]} cells, while the header has {long[1]}; "
                "a tab at the end of a line begins one more"
            )
        raise WorkflowError(f"{path}: cannot be read as a sample sheet: {error}")
    unknown = set(table.columns) - {"sample", "reads", "mates", "truth", "control"}
    if unknown:
        raise WorkflowError(f"{path}: unknown columns: {', '.join(sorted(unknown))}")
    if table.empty:
        raise WorkflowError(f"{path}: names no sample: it has no row below the header")
    checked(table, "../schemas/samples.schema.yaml", path, lines[1:])
    twice = table.loc[table["sample"].duplicated(), "sample"].unique()
    if len(twice):
        raise WorkflowError(f"{path}: samples named twice: {', '.join(twice)}")
    for name in ("mates", "truth", "control"):
        if name not in table:
            table[name] = None
    return table.set_index("sample", drop=False)


def check_files(files, what):
    """Raise WorkflowError for the first file that is not there, or that no rule can name."""
    for path in files:
        if contains_wildcard(path):
            raise WorkflowError(
                f"{what}: {path} has a name in braces, which Snakemake takes for a wildcard; rename it"
            )
        if config["check_files"] and not os.path.exists(path):
            raise WorkflowError(f"{what}: no such file: {path}")


def check_mates(files, what):
    """Raise WorkflowError for two files that `genood split` would not take as mates 1 and mates 2."""
    if len(files) < 2:
        return
    first, second = files
    try:
        are_one = os.path.samefile(first, second)
    except OSError:  # another workflow may be about to make them
        are_one = os.path.normpath(first) == os.path.normpath(second)
    if are_one:
        raise WorkflowError(
            f"{what}: {first} and {second} are one file; reads and mates need mates 1 and mates 2 in two"
        )
    for path in files:
        if stem_of(path).endswith(ALIGNMENTS):
            raise WorkflowError(
                f"{what}: {path} holds alignments; both mates of these come in one file, collated by name, "
                "with interleaved as mates"
            )


checked(config, "../schemas/config.schema.yaml", "configuration")
sources = [
    name
    for name, value in {
        "bundle": config.get("bundle"),
        "build": config.get("build"),
        "train: reference": config["train"].get("reference"),
    }.items()
    if value
]
if len(sources) != 1:
    raise WorkflowError(
        "configuration: give one of bundle, build and train: reference, "
        f"not {' and '.join(sources) or 'none'}"
    )

sheet = read_samples(config["samples"])
controls = sheet[sheet["control"] == "yes"]
samples = sheet[sheet["control"] != "yes"]


def files_of(sample):
    """The files of a sample: one, or those of mates 1 and of mates 2."""
    row = sheet.loc[sample]
    is_single = pd.isna(row["mates"]) or row["mates"] == "interleaved"
    return [row["reads"]] if is_single else [row["reads"], row["mates"]]


def pairs_option(sample):
    """The option that says where a sample's mates are, of `genood split` and `genood score`."""
    mates = sheet.loc[sample, "mates"]
    if pd.isna(mates):
        return ""
    return "--interleaved" if mates == "interleaved" else "--paired"


def stem_of(path):
    """A file's name in lower case, without the ending of a compression."""
    name = path.lower()
    return next((name[: -len(end)] for end in COMPRESSIONS if name.endswith(end)), name)


def is_in_two(sample):
    """Whether mates 1 and mates 2 of a sample are in files of their own."""
    return len(files_of(sample)) == 2


def kind_of(sample):
    """What the parts of a sample are, as their files end."""
    stems = [stem_of(path) for path in files_of(sample)]
    if stems[0].endswith(ALIGNMENTS):
        return "bam"
    # In FASTQ there is no place for a read without qualities.
    has_letters_only = any(stem.endswith((*FASTA, ".npy")) for stem in stems)
    return "fasta.zst" if has_letters_only else "fastq.zst"


for sample in sheet.index:
    check_mates(files_of(sample), f"{config['samples']}, sample {sample}")
    check_files(files_of(sample), f"{config['samples']}, sample {sample}")
check_files(config["train"].get("reference") or [], "configuration, train: reference")
if config.get("bundle"):
    check_files([f"{config['bundle']}/genood.json"], "configuration, bundle")


wildcard_constraints:
    sample="|".join(map(re.escape, sheet.index)),
    truth="in|ood",
    scatteritem=r"\d+-of-\d+",
    kind=r"fastq\.zst|fasta\.zst|bam",


def parts_of(wildcards):
    """The file or files of a sample's part."""
    kind = kind_of(wildcards.sample)
    ends = (
        [f"_R1.{kind}", f"_R2.{kind}"] if is_in_two(wildcards.sample) else [f".{kind}"]
    )
    return [
        f"results/parts/{wildcards.sample}/{wildcards.scatteritem}{end}" for end in ends
    ]


def manifest_of(wildcards):
    """The record of a sample's parts."""
    what = "pairs." if is_in_two(wildcards.sample) else ""
    return f"results/parts/{wildcards.sample}/{what}{kind_of(wildcards.sample)}.json"


def bundle_directory():
    """The bundle that scores."""
    return "results/calibrated" if len(controls) else trained_bundle()


def trained_bundle():
    """The bundle as it was trained."""
    return config.get("bundle") or "results/bundle"


def reference_files():
    """What training waits for."""
    if config.get("build"):
        return ["results/dataset/dataset/dataset.json"]
    return config["train"].get("reference") or []


def reference_arguments(files):
    """What training is given, of the files that it waits for: genomes, or the directory of a dataset."""
    return [os.path.dirname(path) for path in files] if config.get("build") else files


def part_pattern(part):
    """The name of all parts, as `genood split` takes it, from that of the first."""
    folder, name = os.path.split(part)
    name = re.sub(r"^\d+-of-\d+", "%", name)
    return os.path.join(folder, name.replace("_R1.", "_R#."))


def gather_options():
    """How reads are called over all parts of a sample."""
    fdr = config["score"]["fdr"]
    return "" if fdr is None else f"--fdr {fdr}"


def ood_name(sample):
    """What the file or files of a sample's OOD reads are called."""
    name = "R#" if is_in_two(sample) else "reads"
    return (
        f"{name}.fasta.gz"
        if kind_of(sample).startswith("fasta")
        else f"{name}.fastq.gz"
    )


def samples_of(truth):
    """Names of the samples known to be `in` or `ood`."""
    return samples.index[samples["truth"] == truth].tolist()


def evaluation_wanted():
    """The evaluation, where the sheet has samples of both sides."""
    return ["results/evaluation.json"] if samples_of("in") and samples_of("ood") else []


def wanted():
    """What the target `all` asks for."""
    names = samples.index
    files = expand("results/scores/{sample}.tsv.gz", sample=names)
    files += expand("results/summaries/{sample}.json", sample=names)
    if config["score"]["ood_reads"]:
        files += expand("results/ood/{sample}", sample=names)
    if config["report"]["enabled"]:
        files += expand("results/reports/{sample}.html", sample=names)
        files.append("results/bundle.html")
    if config["multiqc"]["enabled"] and len(names):
        files.append("results/multiqc/multiqc_report.html")
    return files + evaluation_wanted()
