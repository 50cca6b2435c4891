/** The curves of a run, as a chart wants them. */
import type { Judged, OpenedRun, Point } from "../api/workshop-types.ts";
import { t } from "../lib/i18n.svelte.ts";
import type { Curve } from "../ui/Chart.svelte";

const KEEP = 0.9; // of what was, in a mean that moves

/** Steps differ in what they learn from; their mean says more than each. */
export function smoothed(points: Point[]): Curve["points"] {
  let [mean, weight] = [0, 0];
  return points.map(({ step, loss }) => {
    mean = KEEP * mean + (1 - KEEP) * loss;
    weight = KEEP * weight + (1 - KEEP);
    return { step, value: mean / weight };
  });
}

export const judgedOf = ({ judged }: OpenedRun): Curve["points"] =>
  judged.map(({ step, loss }) => ({ step, value: loss })).sort((a, b) => a.step - b.step);

export const curvesOf = (opened: OpenedRun): Curve[] => [
  { name: t("run.training"), colour: 1, points: smoothed(opened.points), faint: opened.judged.length > 0 },
  { name: t("run.unseen"), colour: 0, points: judgedOf(opened) },
];

/** Where it was at its best with what it has not seen. */
export function best(judged: Judged[]): Judged | null {
  return judged.reduce<Judged | null>((best, one) => (best && best.loss <= one.loss ? best : one), null);
}
