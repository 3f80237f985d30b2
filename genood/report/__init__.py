"""Reports: one page of HTML for one run or many, from score tables of any size.

What makes the page, Jinja2, markdown-it and Vega by vl-convert, is imported when it is written.
"""
