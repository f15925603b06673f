"""The words that decide a mention's polarity: data only, read by `pipeline.findings`.

Each entry is a regular expression over one lower-case sentence, taken as whole words. A cue reaches forward to the
end of its clause; those in `*_AFTER` reach back to the mention that they follow.
"""

NORMAL_STATEMENTS = (  # a sentence that sums up that nothing was found
    r"(?:there (?:is|are) )?no (?:\w+ ){0,4}(?:acute|active|significant) .*(?:abnormality|disease|process)$",
    r"(?:there (?:is|are) )?no (?:\w+ ){0,4}(?:acute|active|significant) .*(?:abnormalities|findings)$",
    r"no (?:acute|active) (?:\w+ ){0,3}(?:disease|findings?|process|abnormalit\w+)",
    r"(?:normal|negative|unremarkable)(?: \w+){0,3} (?:chest|exam\w*|study|x-ray|radiograph\w*)$",
    r"(?:normal|negative) chest",
    r"(?:the )?chest (?:is )?(?:normal|negative|unremarkable)",
)

CLAUSE_END = (
    *("but", "however", "although", "though", "except", "other than", "aside from", "apart from", "otherwise"),
    *("which", "while", r"the (?:lungs|heart) (?:is|are)", "secondary to", "due to", "in the setting of"),
    r"with (?:mild|moderate|severe|stable|persistent|chronic|low|small|minimal)",
    r"and (?:the|there|heart|lungs?|cardiac|mediastin\w+|mild|minimal|moderate|severe|small|stable|low)",
)
COMMA_ENDS_BEFORE = (  # ", the heart is large" opens a clause; ", pleural effusion, or" goes on with the list
    *("the", "there", "heart", "lungs?", "cardiac", r"mediastin\w+", "mild", "minimal", "moderate", "severe"),
    *("small", "stable", "low", "and the", "and there"),
)

NOT_A_NEGATION = (
    r"no (?:significant |interval |acute |definite |appreciable )*(?:change|interval)",
    r"no (?:increase|decrease|improvement)",
    r"not (?:significantly )?changed",
    r"without (?:significant |interval )*change",
    "not only",
    r"(?:incompletely|partially|nearly|almost|not)(?: yet| completely)? resolved",
    r"(?:near(?:ly)?|partial|incomplete|(?:to )?(?:ensure|document)|until)(?: complete)? resolution(?: of)?",
    r"not (?:well|clearly|completely|fully) (?:seen|evaluated|visualized|imaged)",
)
NEGATION_BEFORE = (
    *("no", "not", "without", "negative for", "free of", "clear of", "absen(?:ce|t)", "nor", "neither", "never"),
    *("denies", "excludes?", "resol(?:ved|ution of)", "rather than", "removal of"),
)
NEGATION_AFTER = (
    (
        r"(?:no longer|not) (?:definitely |definitively |confidently )?"
        r"(?:seen|identified|present|visuali[sz]ed|evident|noted|demonstrated|appreciated|detected)"
    ),
    *("absent", "resolved", "cleared", "removed", "ruled out", "excluded"),
)

UNCERTAIN_BEFORE = (
    *("possibl[ey]", "possibility of", "probabl[ey]", "likely", "may", "might", "could", "question(?:able|ed)?"),
    *("suspicious for", "suspect(?:ed)?", "concern(?:ing)? for", r"suggest\w*", "versus", "vs", "perhaps"),
    r"(?:cannot|can not|not|difficult to) (?:be )?(?:entirely |completely )?exclude[ds]?",
    *(
        "potential(?:ly)?",
        "borderline",
        "upper limits",
        "apparent",
        "presumed",
        "equivocal",
        "favou?red?",
        "rule out",
    ),
)
UNCERTAIN_AFTER = (
    r"(?:cannot|can ?not|not) be (?:\w+ )?excluded",
    *("difficult to exclude", "not excluded", "possible", "suspected", "questioned", "considered"),
)
NOT_BETWEEN = "not|no|and|or|with|but|nearly|almost|partially|incompletely"  # undo or end what follows
ALTERNATIVE = r"(?:and/or|or|versus|vs)"  # "scar or atelectasis": neither is sure
LINKING = r"(?:is|are|was|were|has been|have been|has|have|be|being|would be|should be)"  # between mention and cue
