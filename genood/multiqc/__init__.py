"""For MultiQC: what it shows of runs by itself (`content`), and a plugin (`hooks`, `genood`) that shows more.

Only `hooks` and `genood`, which MultiQC loads by their entry points, and `sections` import MultiQC.
"""
