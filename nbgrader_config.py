"""nbgrader's settings: solutions/ is the source, exercises/ the release, and grading runs no student code."""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "k8snet"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.pyc", "README.md", "answers"]
c.ClearSolutions.code_stub = {"python": "# YOUR ANSWER HERE"}
P = "nbgrader.preprocessors."
c.Autograde.sanitize_preprocessors = [
    "k8snet.course.nbgrader_adapter.DropDuplicates",
    P + "ClearOutput",
    P + "OverwriteKernelspec",
    P + "OverwriteCells",
    P + "CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "k8snet.course.nbgrader_adapter.StaticGrade",
    P + "LimitOutput",
    P + "SaveAutoGrades",
    P + "AssignLatePenalties",
    P + "CheckCellMetadata",
]
c.OverwriteCells.add_missing_cells = True
c.GenerateFeedback.preprocessors = [
    P + "GetGrades",
    P + "ClearHiddenTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
