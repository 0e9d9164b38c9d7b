"""Drawings for pages.

From axes to files:

    axes     where values lie on an axis, and which of them are written at it
    frame    the axes of a drawing as SVG, and places in it
    colours  of series, on light and on dark pages
    charts   what a chart shows, described once
    svg      charts for a page with a script that shows their values
    png      the same charts as PNG files
"""
