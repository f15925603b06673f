"""The words by which findings are recognised: data only, one entry per finding, read by `pipeline.findings`.

Names are those of the Indiana collection's coders (MeSH and RadLex terms); a name with a qualifier ("Lung/
hypoinflation") belongs to the problem before the slash. A rule may name a CheXpert label too, where that differs.
Patterns are regular expressions over one lower-case sentence. `present` says the finding is there unless a cue
says otherwise; `absent` says by itself that it is not ("heart size is normal"). What no rule knows is not found.
"""

from pipeline.finding_words import DEGENERATIVE, HEART, LARGE, LIMITS, LUNG, MARKINGS, SPINE, THORACIC, Rule

NORMAL_MARKINGS = rf"{MARKINGS}\b(?:(?! with\b| heart| lung)[^.,])*? {LIMITS}"
RULES: tuple[Rule, ...] = (
    Rule(
        labels=("Cardiomegaly",),
        present=(
            r"cardiomegaly",
            rf"{HEART}\b(?:(?! and (?:the )?(?:lung|aort|medias|hil)|,)[^.])*? {LARGE}\b",
            rf"increase\w* (?:in|of)(?: the)? {HEART}",
            rf"(?:enlarge\w*|large|prominent|prominence)(?: of)?(?: the)? (?:{HEART}|(?:left|right) ventric\w+)",
        ),
        absent=(
            rf"{HEART}\b(?:(?!enlarg|, but|, with|limits? of)[^.])*? (?:{LIMITS}|within normal limits)",
            rf"normal (?:\w+ ){{0,3}}{HEART}",
        ),
    ),
    Rule(
        labels=("Cardiac Shadow", "Enlarged Cardiomediastinum"),
        present=(
            r"cardiomediastinal (?:silhouette|contour)\b[^.,]*? (?:enlarge\w*|widen\w*|prominent)",
            r"enlarged? (?:cardiac shadow|cardiomediastinal)",
        ),
    ),
    Rule(
        labels=("Mediastinum", "Enlarged Cardiomediastinum"),
        present=(
            r"mediastin\w+\b[^.,]*? (?:widen\w*|enlarge\w*|prominent|fullness)",
            r"(?:widen\w*|prominen\w+|enlarge\w*|fullness)(?: of)?(?: the)?(?: \w+)? mediastin\w+",
        ),
        absent=(r"mediastin\w+\b[^.,]*? (?:normal|unremarkable|not widened)",),
    ),
    Rule(
        labels=("Opacity", "Lung Opacity"),
        present=(r"opaci(?:ty|ties|fi\w+)",),
        absent=(
            r"lungs? (?:\w+ ){0,4}free of (?:any |acute |active )*disease",
            r"(?<!right )(?<!left )lungs?,? (?:(?!not\b)\w+ ){0,4}clear\b(?! of)",
            r"clear lungs?",
        ),
    ),
    Rule(
        labels=("Density",),
        present=(r"(?:hyper|radio)?-?densit(?:y|ies)\b", r"(?:hyper)?dense (?:\w+ ){0,4}(?:nodul|opacit|scar)\w*"),
    ),
    Rule(
        labels=("Airspace Disease", "Lung Opacity"),
        present=(r"air ?-?space (?:disease|process)",),
        absent=(
            r"(?<!right )(?<!left )lungs?,? (?:(?!not\b)\w+ ){0,4}clear\b(?! of)",
            r"clear lungs?",
        ),
    ),
    Rule(labels=("Infiltrate", "Lung Opacity"), present=(r"infiltrat\w+",)),
    Rule(
        labels=("Consolidation", "Lung Opacity"),
        present=(r"consolidat\w+",),
        absent=(
            r"(?<!right )(?<!left )lungs?,? (?:(?!not\b)\w+ ){0,4}clear\b(?! of)",
            r"clear lungs?",
        ),
    ),
    Rule(labels=("Pneumonia",), present=(r"pneumoni\w+", r"infectious process")),
    Rule(
        labels=("Pulmonary Atelectasis", "Atelectasis"),
        present=(
            r"atelecta\w+",
            r"collapsed? (?:of )?(?:the )?(?:(?:left|right|upper|middle|lower|lung) ){0,3}(?:lung|lobe)",
            r"(?:lung|lobe) collapse",
        ),
    ),
    Rule(labels=("Pulmonary Edema", "Edema"), present=(r"(?<!soft tissue )(?<!peripheral )edema",)),
    Rule(
        labels=("Pulmonary Congestion",),
        present=(
            r"(?:vascular|venous|pulmonary|pulmonary vascular) congestion",
            r"cephalization",
            r"vascular prominence",
            r"(?:pulmonary )?vascul\w+\b[^.,]*? (?:prominent|engorged|congested|increased)",
            r"(?:prominent|engorged|increased)(?: central)?(?: pulmonary)? vascul\w+",
        ),
        absent=(r"(?:pulmonary )?vascul\w+\b[^.]*? (?:normal|unremarkable)", r"normal (?:pulmonary )?vascul\w+"),
    ),
    Rule(
        labels=("Pleural Effusion",),
        present=(r"(?<!pericardial )effusions?\b", r"pleural fluid", r"hydropneumothorax"),
        absent=(r"pleural spaces? (?:\w+ ){0,3}(?:clear|normal)",),
    ),
    Rule(labels=("Pneumothorax",), present=(r"(?:hydro)?pneumothora\w+",)),
    Rule(
        labels=("Thickening", "Pleural Other"),
        present=(r"(?:pleural|apical|fissural|peribronchial)[^.,]{0,25} thicken\w+", r"thickening", r"thickened"),
    ),
    Rule(
        labels=("Costophrenic Angle",),
        present=(
            r"(?:blunt\w*|obscur\w*)[^.,]{0,50} (?:costophrenic|cp angle|sulcus|sulci)",
            r"(?:costophrenic|cp angle|sulcus|sulci)\b[^.,]{0,30}(?:blunt\w*|obscur\w*)",
        ),
        absent=(r"costophrenic[^.,]{0,25} (?:clear|sharp)",),
    ),
    Rule(
        labels=("Lung/hypoinflation",),
        present=(
            r"low(?:er)?(?: lung)? volumes?",
            r"(?:lung )?volumes? (?:are|is|remain|appear)(?: \w+){0,3} low\b(?! normal)",
            r"hypo-?(?:inflat|aerat|expan)\w+",
            r"(?:shallow|poor|low) (?:inspirat\w+|aeration)",
            r"(?:decreased|reduced|diminished|small) lung volumes?",
            r"suboptimal inspirat\w+",
            r"under[ -]?(?:inflat|expan|aerat)\w+",
        ),
        absent=(
            rf"{LUNG}[^.]{{0,25}} (?:normally|well|fully|and|remain)(?:[ -]| and )?(?:expanded|inflated|aerated)",
            r"normal lung volumes?",
        ),
    ),
    Rule(
        labels=("Lung/hyperdistention",),
        present=(
            r"hyper-?(?:inflat|expan|distend|distent|aerat)\w*",
            r"over-?(?:inflat|expan)\w*",
            r"(?:large|increased|high) lung volumes?",
        ),
        absent=(
            rf"{LUNG}[^.]{{0,25}} (?:normally|well|fully|and|remain)(?:[ -]| and )?(?:expanded|inflated|aerated)",
            r"normal lung volumes?",
        ),
    ),
    Rule(labels=("Emphysema", "Pulmonary Emphysema"), present=(r"(?<!subcutaneous )emphysem\w+",)),
    Rule(labels=("Pulmonary Disease, Chronic Obstructive",), present=(r"copd", r"chronic obstructive")),
    Rule(
        labels=("Markings",),
        present=(
            rf"(?<!normal )(?<!normal hilar )(?<!normal pulmonary )(?!{NORMAL_MARKINGS}){MARKINGS}",
            r"(?:increased|prominent|chronic) markings",
            r"bronch\w+ (?:vascular )?crowding",
            r"crowding of[^.,]{0,25}(?:bronch|vascul|marking)\w*",
            r"vascular crowding",
        ),
        absent=(
            NORMAL_MARKINGS,
            rf"normal (?:\w+ )?{MARKINGS}",
        ),
    ),
    Rule(
        labels=("Lung Diseases, Interstitial",),
        present=(r"interstitial (?:lung )?disease", r"interstitial (?:fibrosis|prominence)"),
    ),
    Rule(labels=("Pulmonary Fibrosis",), present=(r"fibro(?:sis|tic)",)),
    Rule(labels=("Cicatrix",), present=(r"scar(?:s|ring|red)?\b",)),
    Rule(labels=("Nodule", "Lung Lesion"), present=(r"(?<!calcified )nodul(?:e|es|ar)\b(?! densit)",)),
    Rule(labels=("Mass", "Lung Lesion"), present=(r"\bmass(?:es)?\b",)),
    Rule(labels=("Granuloma",), present=(r"(?<!calcified )granulomas?\b",)),
    Rule(
        labels=("Calcified Granuloma",),
        present=(
            r"calcified (?:\w+ ){0,3}(?:granulomas?|nodules?)\b",
            r"calcified granulomata",
            r"granulomas?\b[^.,]{0,15} calcifi\w+",
        ),
    ),
    Rule(labels=("Granulomatous Disease",), present=(r"granulomatous", r"histoplasmosis")),
    Rule(
        labels=("Calcinosis",),
        present=(
            r"(?<!atherosclerotic )calcifi(?:c|cations?)\b(?! (?:\w+ )?(?:granulomas?\b|nodule))",
            (
                r"(?<!atherosclerotic )calcified\b"
                r"(?! (?:(?!lymph|node)[\w.]+ ){0,5}(?:granuloma(?:s|ta)?|nodules?)\b)"
            ),
        ),
    ),
    Rule(labels=("Atherosclerosis",), present=(r"athero\w+", r"arterioscler\w+")),
    Rule(
        labels=("Aorta, Thoracic",),
        present=(
            r"(?:tortuous|ectatic|ectasia of|uncoil\w+|unfold\w+|enlarged|dilat\w+)[^.,]{0,20} thoracic aorta",
            r"thoracic aorta\b[^.]{0,40}? (?:tortuous|tortuosity|ectatic|uncoil\w+|enlarged|dilat\w+)",
            r"tortuosity of the (?:descending )?thoracic",
        ),
    ),
    Rule(
        labels=("Aorta",),
        present=(
            r"(?:tortuous|ectatic|uncoil\w+|unfold\w+|dilat\w+|prominent)(?: (?!thoracic)\w+){0,3} aort(?:a|ic)\b",
            r"(?<!thoracic )aort(?:a|ic)\b[^.,]{0,40}? (?:tortu\w+|ecta\w+|un(?:coil|fold)\w+|dilat\w+|prominent)",
            r"(?:tortuosity|ectasia|prominence|unfolding)(?: of)?(?: the)? (?:(?!thoracic)\w+ )?aort(?:a|ic)\b",
        ),
    ),
    Rule(
        labels=("Diaphragm/elevated",),
        present=(
            r"elevat\w+[^.,]{0,30} (?:hemi-?)?diaphragms?",
            r"(?:hemi-?)?diaphragms?\b[^.,]{0,40}? elevat\w+",
        ),
    ),
    Rule(
        labels=("Diaphragm/flattened",),
        present=(
            r"flatten\w+[^.,]{0,30} (?:hemi-?)?diaphragms?",
            r"(?:hemi-?)?diaphragm\w*\b[^.,]{0,40}? flatten\w+",
        ),
    ),
    Rule(labels=("Diaphragmatic Eventration",), present=(r"eventrat\w+",)),
    Rule(labels=("Hernia, Hiatal",), present=(r"hiat(?:al|us) hernia",)),
    Rule(
        labels=("Thoracic Vertebrae",),
        present=(
            rf"{DEGENERATIVE}[^.]{{0,60}} {THORACIC}\b",
            rf"{THORACIC}(?: |-)?(?:{SPINE})?[^.,]{{0,30}} {DEGENERATIVE}",
        ),
    ),
    Rule(
        labels=("Spine",),
        present=(
            rf"{DEGENERATIVE}(?:(?!thorac|dorsal)[^.]){{0,50}}? {SPINE}(?![^.]{{0,60}}thorac)",
            (
                rf"(?<!thoracic )(?<!dorsal )(?<!t-){SPINE}(?:(?!thorac)[^.,]){{0,30}} {DEGENERATIVE}"
                r"(?![^.]{0,60}thorac)"
            ),
        ),
    ),
    Rule(labels=("Spondylosis",), present=(r"spondylosis",)),
    Rule(labels=("Osteophyte",), present=(r"osteophyt\w*", r"spurring", r"spurs?\b")),
    Rule(
        labels=("Scoliosis",),
        present=(
            r"scolio\w+",
            r"(?:dextro|levo)(?:scoliosis|curvature|convex)\w*",
            r"curvature of the (?:\w+ )?spine",
        ),
    ),
    Rule(labels=("Kyphosis",), present=(r"kypho\w+",)),
    Rule(labels=("Arthritis",), present=(r"arthrit\w+", r"arthropathy")),
    Rule(labels=("Bone Diseases, Metabolic",), present=(r"osteopen\w+", r"osteopor\w+", r"demineraliz\w+")),
    Rule(labels=("Fractures, Bone", "Fracture"), present=(r"fractur\w+",)),
    Rule(
        labels=("Deformity",),
        present=(r"deformit\w+", r"\bwedg(?:ing|ed)\b", r"(?<!no )compression (?:fracture|of)", r"pectus"),
    ),
    Rule(
        labels=("Catheters, Indwelling", "Support Devices"),
        present=(
            r"catheters?",
            r"picc",
            r"port-?a-?cath\w*",
            r"(?:central|venous|subclavian|jugular|ij)(?: \w+)? lines?\b",
            r"\bport\b",
            r"(?:port|xxxx)-a-xxxx",  # as de-identification leaves a port-a-cath, and a chest port below
            r"chest xxxx (?=tip|with)",
            r"shunt (?:tubing|catheter)",
            r"mediport",
            r"infusion port",
        ),
    ),
    Rule(labels=("Tube, Inserted", "Support Devices"), present=(r"\btubes?\b", r"tracheostomy")),
    Rule(
        labels=("Implanted Medical Device", "Support Devices"),
        present=(
            r"pacemaker",
            r"pacer\b",
            r"aicd",
            r"\bicd\b",
            r"defibrillator",
            r"stimulator",
            r"(?:prosthe\w+|artificial|replacement)(?: \w+)? valves?",
            r"valve (?:replacement|prosthe\w+)",
        ),
    ),
    Rule(
        labels=("Surgical Instruments", "Support Devices"),
        present=(r"\bclips?\b", r"sternotomy", r"sutures?\b", r"staples?"),
    ),
    Rule(labels=("Stents",), present=(r"stents?\b",)),
    Rule(
        labels=("Foreign Bodies",), present=(r"foreign bod\w+", r"bullet\w*", r"shrapnel", r"metallic fragments?")
    ),
    Rule(
        labels=("Technical Quality of Image Unsatisfactory",),
        present=(
            r"limited (?:exam|study|evaluation|by)",
            r"(?:exam\w*|study|film|evaluation|quality) (?:is |are )?(?:somewhat |slightly )?limited",
            r"rotated",
            r"(?:under|over)(?:-| )?(?:exposed|penetrated)",
        ),
    ),
)
