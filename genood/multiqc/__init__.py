"""For MultiQC: what it shows of runs by itself (`content`), and a plugin (`hooks`, `module`) that shows more.

Only `module` and `hooks`, which MultiQC loads by their entry points, import MultiQC.
"""
