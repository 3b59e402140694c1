// The heap has the time line, the choice of moments, and the tabs that show what is chosen.

import { useRef } from 'preact/hooks';
import type { History, Holders, Leaks, Suspect } from './answers';
import type { Asked } from './asked';
import { Capture } from './capture';
import { Choice } from './choice';
import { Filters, HeapFilters } from './filters';
import type { Live } from './live';
import { momentIn, nearestTo } from './moments';
import { Panel } from './panel';
import type { Page } from './page';
import type { Request } from './request';
import * as server from './server';
import { knowsAges } from './shown';
import { nameOf } from './suspects';
import { Tabs } from './tabs';
import { Timeline } from './timeline';
import { clock } from './units';
import { FOUND, isOfProfile, momentsOf, TABS, withSubject, type Moment } from './view';

interface Props extends Page {
  readonly live: Live;
  readonly history: History;
  readonly request: Request;
  readonly holders: Asked<Holders>;
  /** Other moments are chosen. */
  readonly onChoose: (from: Moment | null, to: Moment | null) => void;
}

export function Heap(props: Props) {
  const { view, tab, live, history, request, holders, owners, searchBox, savedAt, onChange, onChoose } = props;
  const isLive = savedAt === null;
  const moments = momentsOf(view);
  const onShow = (suspect: Suspect, tab: 'flame' | 'table') => {
    // It shows what grew since the suspect began to, up to this moment.
    const from = suspect.since_nanos / 1e9;
    onChange({ tab, from, to: null, capture: null, search: nameOf(suspect), focus: null, ignore: [], around: null, zoom: FOUND });
    request.askAnew();
  };
  return (
    <>
      <div inert={!isLive}>
        <Timeline
          history={history}
          from={momentIn(history, moments.from)}
          to={momentIn(history, moments.to)}
          onChoose={(from, to) => onChoose(named(history, view.from, from), named(history, view.to, to))}
        />
      </div>
      {isLive ? (
        <Chosen {...props} />
      ) : (
        <p class="note">Saved at {clock(savedAt)}: other moments than the one below need the program.</p>
      )}
      <Filters shown={request.current} {...{ view, searchBox, onChange }}>
        <HeapFilters {...{ view, onChange }} knowsAges={isLive && knowsAges(view) && !request.baseline} />
      </Filters>
      <Tabs tabs={TABS} tab={tab} suspects={countOf(live.leaks)} onChange={(tab) => onChange({ tab })} />
      <Panel
        {...{ view, tab, request, history, holders, owners, isLive, onShow, onChange }}
        onShowTasks={(name) => onChange({ ...withSubject(view, 'threads'), tab: 'table', kind: 'task', search: name, focus: null, ignore: [] })}
        leaks={live.leaks}
        isLeaksKnown={live.isLeaksKnown}
        onNearest={() => onChoose(nearestTo(history, moments.from), nearestTo(history, moments.to))}
      />
    </>
  );
}

/** What is compared with what, and what changes in the next seconds. */
function Chosen({ view, tab, live, history, request, onChange, onChoose }: Props) {
  const latestTab = useRef(tab);
  latestTab.current = tab;
  const onCapture = async (seconds: number) => {
    const capture = await request.startCapture(seconds);
    if (!capture) return;
    onChange({ capture, zoom: '', ...(!isOfProfile(latestTab.current) && { tab: 'table' }) });
  };
  return (
    <div class="toolbar">
      <Choice
        history={history}
        view={view}
        baseline={request.baseline}
        onChoose={onChoose}
        onLeaveCapture={() => onChange({ capture: null, zoom: '' })}
        onCompare={(file) => {
          onChange({ capture: null, zoom: '' });
          void request.compare(file);
        }}
        onMark={async (name, replaces) => {
          await server.mark(name, replaces);
          live.refresh();
        }}
      />
      <Capture running={request.running} onStart={onCapture} onCancel={request.cancelCapture} />
    </div>
  );
}

/** Returns how many suspects there are. What grew before a first verdict may be chance. */
function countOf(leaks: Leaks | null): number {
  return leaks?.first_verdict_in_seconds === null ? (leaks.suspects?.length ?? 0) : 0;
}

/** Returns `seconds`, or `before` if that is a mark that was set then. */
function named(history: History, before: Moment | null, seconds: number | null): Moment | null {
  return seconds !== null && momentIn(history, before) === seconds ? before : seconds;
}
