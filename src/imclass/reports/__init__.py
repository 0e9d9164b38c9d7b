"""Reports: what there is to see and to know of a trained model, on one page.

From a model to its page:

    subject     the model, its answers and the images, opened
    numbers     pure functions from probabilities and labels to numbers
    suspicions  labels that are probably wrong
    findings    all numbers of a report
    figures     charts of the numbers, which `drawing` draws as SVG and PNG
    galleries   pictures of images, with what speaks for a class
    content     words for all of it
    page        the HTML
    making      all of it, and the files
"""

from imclass.reports.opening import report_model, report_run

__all__ = ["report_model", "report_run"]
