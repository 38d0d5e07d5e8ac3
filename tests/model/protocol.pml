/* Election, fence and effect ledger, searched exhaustively by Spin; test_protocol.py runs it, and
   `python -m tests.model.spin NO_WINDOW` tells the shortest way to fail without a guard.

   WHAT IS CLAIMED
   I1    one_term         no transaction of a term commits after a newer term was raised (evidence is no leader's)
   I2    acted_once       whatever happens, the provider acts at most once
         truly_settled    `succeeded` means that it acted; `failed` and `cancelled` that it never did and never will:
                          every future is searched, so a send that is out and can still act breaks this too
         sent_while_open  nothing that has ended is sent, nor what is uncertain, unless no earlier send can have acted

   WHO IS WHO                                   in the code
   Member     one process: claims, raises,      engine/elector (claim), store/terms (raise_fence), store/pool (fenced),
              leads, is paused, is killed       engine/operator (_send, _record), model/settle (next_step)
   ledger,    the row of the one effect, and    store/effects; told and age of send n, counted from its stamp
   said, age  one row for each of its sends
   changed    voids what was decided before     `version` of the row
   Request    a stamped send                    connectors/http_wire (one write), http (exchange)
   Provider   acts, remembers keys, forgets     the third party; `honours` keys or not, `shows` in time what it did or
                                                not: chosen at the start, and model/settle.Rules says so truly
   Person     cancels, resolves                 store/effects (resolve), not fenced
   Clock      lets everything age               23 h are WINDOW ticks, the hour of slack SLACK ticks; the state holds
                                                ages, no dates, so time has no end here

   WHAT IS LEFT TO CHANCE
   - Interleaving is a pause of any length at any point. `forget` can come at any point too: the process is killed, or
     learns that its term is over. A transaction that commits although its process was killed commits before that.
   - The coordinator ends a session whenever it likes, a healthy leader's too, so a claim is possible at any time, and
     nobody is told. A deposed leader may believe in its term for ever, send after its successor's raise, and write
     down what it was answered.
   - A commit's answer may be lost (the leader says that it sent nothing, or goes on from a new read), and a raise's.
   - A leader may give up early (`uncertain`, `failed` where no send can have acted), and resend as soon as it likes.
   - A request may be lost, arrive at any time of its life, overlap with another leader's; its answer may be lost.
   - The provider may act, decline and remember that or not, refuse a send untouched (429, 409, 401) even for a key that
     it knows, or answer 500 and have acted, act later (`rolling`: even after it forgot the key) or never act.
   - A look-up may find nothing although the provider acted, unless the provider's rule is that it shows.

   WHAT IS ASSUMED; each has a switch that takes it away, and then the model fails
   A1 durable     an acknowledged commit survives (not so: asynchronous failover)                      DB_FORGETS
   A2 slack       from the stamp to the moment in which the provider acts, or never will, at most RETENTION - WINDOW
                  passes: pauses, connect, network, queues and clocks that differ   NO_GUARD, LATE_REQUESTS
   A3 keys        a provider that is said to honour keys remembers one in the instant in which it acts, for RETENTION
                  from then, and answers a known key from memory                         KEYS_IGNORED_BUT_TRUSTED
   A4 one write   one stamp is one request: no library, redirect, proxy or operation repeats it        SENT_TWICE
   A5 truth       evidence is true: an error that may hide an arrival is never taken for "untouched" or "failed"
                                                                       UNKNOWN_IS_UNTOUCHED, UNKNOWN_IS_FAILED
   A6 absence     a provider that is said to show what it did (`absent_after`) shows it by then, and does not act later;
                  and `absent_after` is longer than a send lives (A2)        ACTS_LATE_BUT_TRUSTED, ABSENT_AT_ONCE
   A7 people      who resolves has looked, and only after every send has died, and resolves what was looked at
                                                                       RESOLVED_TOO_EARLY, RESOLVED_ON_OLD_NEWS

   Where two guards hold, either is enough: of what two leaders decide only the first counts (version), and only one
   of the two may write (fence). Neither NO_FENCE nor NO_VERSION pays twice; both together do.

   LEFT OUT: rows and markers of pages (here a page is a leader's transaction and no more), several partitions, a
   rebuilt coordinator (`adopt` is a raise), other effects (`retry` is a new one), others who pay the same invoice,
   look-ups before the first send, back-off. Bounds: MEMBERS, TERMS (claims), SENDS (of the effect). */

#include "switches.pml"
#include "state.pml"

inline forget(m) {
  d_step {
    at[m] = FOLLOWING; claim[m] = 0; number[m] = 0; todo[m] = NOTHING; slot[m] = 0; answer[m] = NOTHING
  }
}

/* The ledger has changed, and is right. What was decided before this is void: its transaction will change no more than
   a page does. */
inline changed() {
  d_step {
    for (i : 0 .. MEMBERS - 1) {
      if
      :: todo[i] != NOTHING && VOID -> todo[i] = PAGE
      :: else
      fi
    };
    i = 0;
    if
    :: OLD_NEWS -> finding = NOTHING
    :: else
    fi;
    truly_settled = CLAIM((ledger != SUCCEEDED || payments == 1) &&
                          ((ledger != FAILED && ledger != CANCELLED) || payments == 0));
    assert(truly_settled)
  }
}

inline act() {
  d_step {
    payments++;
    printf("    the provider acts\n");
    acted_once = (payments <= 1);
    assert(acted_once);
    truly_settled = CLAIM(ledger != FAILED && ledger != CANCELLED);
    assert(truly_settled)
  }
}

inline next(m, what) {
  todo[m] = what; at[m] = DECIDED
}

inline settle(m, state) {
  ledger = state;
  at[m] = LEADING;
  printf("member %d, term %d: the effect is %e\n", m, number[m], ledger);
  changed()
}

/* A no to a send from before a proof by absence is its own only, though it was remembered for the key: by the time of
   the send after that proof, the provider may have forgotten the key. */
inline record(n, what) {
  d_step {
    if
    :: said[n] == GONE && what == REMEMBERED && !OLD_REPLAYS_COUNT -> said[n] = DECLINED
    :: else -> said[n] = what
    fi;
    if
    :: said[n] == UNTOUCHED && !flying[n] -> age[n] = 0 /* no rule asks for it any more */
    :: else
    fi
  }
}

inline stamp(m) {
  sent_while_open = CLAIM(OPEN_TO(todo[m]));
  assert(sent_while_open);
  d_step {
#ifndef NO_STAMP
    for (i : 0 .. SENDS - 1) {
      if
      :: todo[m] == ABSENCE && said[i] == OPEN -> said[i] = GONE
      :: todo[m] == ABSENCE && said[i] == REMEMBERED && !OLD_REPLAYS_COUNT -> said[i] = DECLINED
      :: else
      fi
    };
    i = 0;
    said[sends] = OPEN;
    ledger = SENDING;
#endif
    slot[m] = sends;
    sends++;
    at[m] = STAMPED;
    printf("member %d, term %d: send %d is stamped (%e)\n", m, number[m], slot[m], todo[m])
  };
  changed()
}

inline commit(m) {
  one_term = CLAIM(number[m] == fence_number);
  assert(one_term);
  if
  :: STAMPS(todo[m]) && STAMPABLE(todo[m]) && MORE && (todo[m] != SAME_KEY || STILL_IN_WINDOW) -> stamp(m)
  :: todo[m] == SUCCEED && !FINAL -> settle(m, SUCCEEDED)
  :: todo[m] == FAIL && !FINAL -> settle(m, FAILED)
  :: todo[m] == DOUBT && !FINAL -> settle(m, UNCERTAIN) NOTE(doubted = true)
  :: else -> at[m] = LEADING /* a page; or the effect has moved on, and nothing is done */
  fi;
  todo[m] = NOTHING
}

proctype Member(byte me) {
end:
  do
  /* Election. Whoever held the claim has lost it, and may not know. */
  :: atomic { at[me] == FOLLOWING && LOWEST_FOLLOWER(me) && token < TERMS ->
       token++;
       claim[me] = token;
       at[me] = CLAIMED;
       printf("member %d claims with token %d\n", me, token) }
#ifdef READ_BEFORE_RAISE
  :: atomic { at[me] == CLAIMED && todo[me] == NOTHING && !FINAL && UNSETTLED && !ANY(OPEN) ->
       todo[me] = FRESH;
       printf("member %d reads the ledger and decides to send\n", me) }
#endif
  /* The raise. That it waits for a transaction is another order of steps; or it ends the one in its way. */
  :: atomic { at[me] == CLAIMED && claim[me] > fence_token ->
       for (i : 0 .. MEMBERS - 1) {
         if
         :: IN_THE_WAY(i) -> at[i] = LEADING; todo[i] = NOTHING
         :: else
         fi
       };
       i = 0;
       fence_token = claim[me];
       claim[me] = 0;
       fence_number++;
       number[me] = fence_number;
       printf("member %d raises the fence: term %d\n", me, number[me]);
       if
       :: todo[me] == NOTHING -> at[me] = LEADING
#ifdef READ_BEFORE_RAISE
       :: todo[me] != NOTHING -> at[me] = DECIDED
#endif
       :: true -> forget(me) /* whether it landed was not learned */
       fi }
  :: atomic { at[me] == CLAIMED && claim[me] <= fence_token -> forget(me) }

  /* Every transaction of a leader: look at the term, hold it, commit or break off. */
  :: atomic { at[me] == LEADING && LEADS(me) -> todo[me] = PAGE; at[me] = FENCED }
  :: atomic { at[me] == DECIDED && LEADS(me) -> at[me] = FENCED }
  :: atomic { at[me] == DECIDED && !LEADS(me) ->
       printf("member %d, term %d: fenced out\n", me, number[me]);
       forget(me) }
  :: atomic { at[me] == FENCED -> commit(me) }
  :: atomic { at[me] == FENCED -> todo[me] = NOTHING; at[me] = LEADING }

  /* The effect: from one read of the ledger, and a look-up where a send is open, to the next transaction. The look-up
     is no step of its own: that it finds something stays true, and that it finds nothing is used by ABSENCE only. */
  :: atomic { READS(me) && ANY(ACTED) -> next(me, SUCCEED) }
  :: atomic { READS(me) && !ANY(ACTED) && REFUTED -> next(me, FAIL) }
  :: atomic { READS(me) && UNSETTLED && !ANY(OPEN) && sends > 0 -> next(me, FAIL) }
  :: atomic { READS(me) && UNSETTLED && !ANY(OPEN) && MORE -> next(me, FRESH) }
  :: atomic { READS(me) && UNSETTLED && ANY(OPEN) && ledger != UNCERTAIN -> next(me, DOUBT) }
  :: atomic { READS(me) && UNSETTLED && ANY(OPEN) && ledger != UNCERTAIN && TRUSTS_KEYS && IN_WINDOW && MORE ->
       next(me, SAME_KEY) }
  :: atomic { READS(me) && UNSETTLED && ANY(OPEN) && shows && ALL_DEAD && payments == 0 && MORE ->
       next(me, ABSENCE) }
#ifndef NO_LOOKUP
  :: atomic { READS(me) && ANY(OPEN) && payments > 0 -> next(me, SUCCEED) }
#endif
#ifdef ABSENCE_IS_FAILURE /* a look-up that finds nothing is taken for a proof */
  :: atomic { READS(me) && ANY(OPEN) && payments == 0 -> next(me, FAIL) }
#endif

  /* The write. The pause between the guard and it is part of the send's time on its way: for the provider a late
     write is a slow network, and a process that is killed between them is a lost request. */
  :: atomic { at[me] == STAMPED && MAY_WRITE(slot[me]) ->
       flying[slot[me]] = true;
       at[me] = WAITING;
       printf("member %d, term %d of %d: writes send %d\n", me, number[me], fence_number, slot[me])
       NOTE(term_of[slot[me]] = number[me])
       NOTE(behind = behind || number[me] < fence_number) }
  /* The guard said no, or the stamp's acknowledgement was lost: nothing left, and it can say so, or not. */
  :: atomic { at[me] == STAMPED -> answer[me] = UNTOUCHED; at[me] = ANSWERED }
  :: atomic { at[me] == STAMPED -> slot[me] = 0; at[me] = LEADING }
  /* No answer in time, or one that says nothing: the send stays open. */
  :: atomic { at[me] == WAITING ->
#if defined(UNKNOWN_IS_FAILED)
       slot[me] = 0; next(me, FAIL) }
#elif defined(UNKNOWN_IS_UNTOUCHED)
       answer[me] = UNTOUCHED; at[me] = ANSWERED }
#else
       slot[me] = 0; at[me] = LEADING }
#endif
  /* Evidence is true whoever brings it, so no term is asked. It says what became of one send, and settles nothing. */
  :: atomic { at[me] == ANSWERED ->
       record(slot[me], answer[me]);
       printf("member %d, term %d of %d: records that send %d was %e\n",
              me, number[me], fence_number, slot[me], answer[me])
       NOTE(brought = brought || (number[me] < fence_number && answer[me] == ACTED));
#ifdef EVIDENCE_SETTLES
       if
       :: answer[me] == DECLINED && !FINAL -> ledger = FAILED
       :: else
       fi;
#endif
       changed();
       answer[me] = NOTHING;
       slot[me] = 0;
       at[me] = LEADING }

  :: atomic { at[me] != FOLLOWING -> printf("member %d forgets\n", me); forget(me) }
  od
}

inline execute() {
  if
  :: reply = ACTED; if :: honours -> memory = ACTED :: else fi; act()
  :: reply = DECLINED; if :: honours -> memory = DECLINED :: true fi
  :: reply = NOTHING; if :: honours -> memory = BROKEN :: else fi; if :: act() :: MAY_ROLL -> rolling = true :: true fi
  fi
}

proctype Request(byte n) {
end:
  do
  :: atomic { flying[n] ->
       printf("    send %d arrives\n", n);
#ifdef SENT_TWICE
       if :: flying[n] = false :: true fi;
#else
       flying[n] = false;
#endif
       if
       :: reply = UNTOUCHED
       :: KNOWN_KEY && memory == ACTED -> reply = ACTED NOTE(replayed = true)
       :: KNOWN_KEY && memory == DECLINED -> reply = REMEMBERED
       :: KNOWN_KEY && memory == BROKEN -> reply = NOTHING
       :: !KNOWN_KEY -> execute()
       fi;
       if
       :: reply != NOTHING -> /* the answer is with whoever still waits for it */
          for (i : 0 .. MEMBERS - 1) {
            if
            :: at[i] == WAITING && slot[i] == n -> answer[i] = reply; at[i] = ANSWERED
            :: else
            fi
          }
       :: true /* or it is lost */
       fi;
       i = 0;
       reply = NOTHING }
  od
}

active proctype Provider() {
end:
  do
  :: atomic { rolling -> rolling = false; act() }
  od
}

active proctype Person() {
end:
  do
#ifdef CANCEL_READS_FIRST /* the condition is read in one statement and trusted in the next */
  :: ledger == PLANNED -> atomic { ledger = CANCELLED; printf("a person cancels the effect\n"); changed() }
#else
  :: atomic { ledger == PLANNED -> ledger = CANCELLED; printf("a person cancels the effect\n"); changed() }
#endif
  :: atomic { finding == NOTHING && ledger == UNCERTAIN && payments > 0 -> finding = ACTED }
  :: atomic { finding == NOTHING && ledger == UNCERTAIN && payments == 0 && !rolling && PERSON_MAY_FAIL ->
       finding = DECLINED;
       printf("a person sees that it has not happened\n") }
  :: atomic { finding != NOTHING && ledger == UNCERTAIN ->
       if
       :: finding == ACTED -> ledger = SUCCEEDED
       :: finding == DECLINED -> ledger = FAILED
       fi;
       printf("a person resolves the effect: %e\n", ledger)
       NOTE(resolved = true);
       finding = NOTHING;
       changed() }
  od
}

active proctype Clock() {
end:
  do
  :: d_step { true ->
       printf("    time passes\n");
       if
       :: memory != NOTHING && key_age < RETENTION - 1 -> key_age++
       :: memory != NOTHING && key_age == RETENTION - 1 ->
          memory = NOTHING; key_age = 0; printf("    the provider forgets the key\n")
       :: else
       fi;
       for (i : 0 .. SENDS - 1) {
         if
         :: flying[i] && age[i] == LIFE -> flying[i] = false
         :: else
         fi;
         if
         :: i < sends && (said[i] != UNTOUCHED || flying[i]) && age[i] < OLD -> age[i]++
         :: else
         fi
       };
       i = 0 }
  od
}

#ifdef DB_FORGETS
active proctype Failover() {
end:
  do
  :: atomic { sends > 0 && said[sends - 1] == OPEN ->
       said[sends - 1] = NOTHING;
       printf("the database loses the last stamp\n");
       if
       :: !(USES(0) || USES(1) || USES(2)) -> ledger = PLANNED
       :: else
       fi;
       changed() }
  od
}
#endif

#ifdef SHOW
#include "shown.pml"
#endif

init {
  atomic {
    if
#ifndef KEYS_IGNORED_BUT_TRUSTED /* which is about the others */
    :: honours = true
#endif
    :: honours = false; printf("    the provider ignores keys\n")
    fi;
    if
    :: shows = true; printf("    the provider shows what it did\n")
    :: shows = false
    fi;
    for (i : 0 .. MEMBERS - 1) { run Member(i) };
    for (i : 0 .. SENDS - 1) { run Request(i) };
    i = 0
  }
}
