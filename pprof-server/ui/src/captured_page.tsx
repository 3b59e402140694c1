// A page of what has to be captured first: what begins a capture, the choice of what is shown, and the tabs.

import type { ComponentChildren } from 'preact';
import { Countdown } from './capture';
import type { Captured } from './captured';
import { Filters } from './filters';
import { Losses } from './notes';
import type { Page } from './page';
import { droppedInWords, ProfileTabs, useLeft } from './profile_tabs';
import { Tabs } from './tabs';
import { clock } from './units';
import { TABS_OF } from './view';

interface Props extends Page {
  readonly captured: Omit<Captured<unknown>, 'start'>;
  /** Asks what to capture, and begins. */
  readonly form: ComponentChildren;
  /** What else the program can be asked for. */
  readonly others?: ComponentChildren;
  /** What this page alone can be narrowed to. */
  readonly filters?: ComponentChildren;
  /** What was captured, in words. */
  readonly said: string | null;
  /** What is said before the first capture, and while it runs. */
  readonly empty: { readonly before: string; readonly meanwhile: string };
}

export function CapturedPage({ captured, form, others, filters, said, empty, ...page }: Props) {
  const { view, tab, owners, searchBox, savedAt, onChange } = page;
  const { current, running, error } = captured;
  const left = useLeft(current, view, owners);
  return (
    <>
      {savedAt === null ? (
        <>
          <div class="toolbar">{running ? <Countdown running={running} onCancel={captured.cancel} /> : form}</div>
          {others}
        </>
      ) : (
        <p class="note">Saved at {clock(savedAt)}: another capture needs the program.</p>
      )}
      <Filters shown={current} {...{ view, searchBox, onChange }}>
        {filters}
      </Filters>
      <Tabs tabs={TABS_OF[view.subject]} tab={tab} onChange={(tab) => onChange({ tab })} />
      <section role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`} aria-busy={running !== null} tabIndex={-1}>
        <p class="what" role="status">
          {said}
          {left && current && droppedInWords(left, current, view)}
        </p>
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <Losses notes={current?.notes ?? []} />
        {current ? (
          <ProfileTabs shown={current} {...{ left, tab, view, owners, onChange }} />
        ) : (
          <p class="empty">{running ? empty.meanwhile : empty.before}</p>
        )}
      </section>
    </>
  );
}
