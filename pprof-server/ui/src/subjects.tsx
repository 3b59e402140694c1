// What the page is about stands above all else: the heap, CPU time, threads and tasks, or waits for locks. They are links, so that one of
// them can be opened beside the other.

import { format, SUBJECTS, withSubject, type Subject, type View } from './view';

export const SUBJECT_TITLES: Record<Subject, string> = { heap: 'Heap', cpu: 'CPU', threads: 'Threads and tasks', locks: 'Locks' };

export function Subjects({ view }: { view: View }) {
  return (
    <nav class="subjects" aria-label="Profiles">
      {SUBJECTS.map((subject) => (
        <a
          key={subject}
          href={`#${format(withSubject(view, subject))}`}
          aria-current={subject === view.subject ? 'page' : undefined}
          onClick={(event) => subject === view.subject && event.preventDefault()}
        >
          {SUBJECT_TITLES[subject]}
        </a>
      ))}
    </nav>
  );
}
