"""For MultiQC: what it shows of runs by itself (`content`), and a plugin (`hooks`, `genood`) that shows more.

Only `genood` and `hooks`, which MultiQC loads by their entry points, import MultiQC.
"""
