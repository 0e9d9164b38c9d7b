"""Drawings for pages.

axes     where values lie on an axis, and which of them are written at it
frame    the axes of a drawing as SVG, and places in it
charts   what a chart shows, described once
svg      charts for a page with a script that shows their values
png      the same charts as PNG files
"""
