"""`grade`: what students hand in is marked."""

from tqdm import tqdm

from ddlite.course import grade as grading
from ddlite.course import wall


def grade(options):
    """Print a line for each submission as it is graded."""
    print(wall.words())
    with tqdm(total=len(grading.submissions(options.folder)), desc="grading", unit="notebook", disable=None) as bar:
        for row in grading.grade(options.folder, options.source or grading.SOURCE, options.seed, options.minutes, options.gib,
                                 options.jobs):
            by_hand = sum(points is None for points in row["points"].values())
            words = [f"{row['student']:24}{row['total']:5g} of {row['of']:g}", f"{by_hand} to mark by hand" if by_hand else "",
                     row["note"]]
            bar.write(", ".join(filter(None, words)))
            bar.update()
    print(f"{options.folder / 'grades.csv'}, {options.folder / 'feedback'}")
