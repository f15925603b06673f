from training.sources.sections import split_report


def test_headings_are_read_by_what_they_mean() -> None:
    text = "HISTORY: Fall.\nPA AND LATERAL VIEWS OF THE CHEST:  Clear lungs.\nNOTE: again.\nCONCLUSION: Normal."
    sections = split_report(text)
    assert sections.indication == "Fall."
    assert sections.findings == "Clear lungs. NOTE: again."
    assert sections.impression == "Normal."


def test_without_headings_the_last_paragraph_is_the_findings() -> None:
    assert split_report("CHEST\n\nOne.\n\nTwo ___ lines\nhere.\n\n").findings == "Two XXXX lines here."
    assert split_report("INDICATION: Cough.\n\nThe lungs are clear.\n").findings == "The lungs are clear."
    assert split_report("INDICATION: Cough.\n").findings == ""


def test_the_same_heading_twice_is_joined() -> None:
    text = "FINDINGS: One.\nIMPRESSION: Two.\nADDENDUM: x\nIMPRESSION: Three."
    assert split_report(text).impression == "Two. Three."
