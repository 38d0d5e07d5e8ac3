/* What has to happen in the model of protocol.pml, which includes this, or it would say nothing. */

#define SHOWN(what, when) :: atomic { (when) -> printf(what) }

active proctype Witness() {
end:
  do
  SHOWN("succeeded", ledger == SUCCEEDED)
  SHOWN("failed", ledger == FAILED && !resolved)
  SHOWN("cancelled", ledger == CANCELLED)
  SHOWN("uncertain because the window is over", honours && ledger == UNCERTAIN && FIRST_AGE == WINDOW)
  SHOWN("uncertain because keys are ignored", !honours && ledger == UNCERTAIN)
  SHOWN("uncertain, then succeeded by evidence", doubted && !resolved && ledger == SUCCEEDED)
  SHOWN("uncertain, then sent because no send had acted", doubted && ledger == SENDING && sends == 2)
  SHOWN("uncertain, then failed by a person", resolved && ledger == FAILED)
  SHOWN("succeeded though keys are ignored", !honours && ledger == SUCCEEDED)
  SHOWN("sent again by a successor", term_of[0] > 0 && term_of[1] > term_of[0] && ledger == SUCCEEDED)
  SHOWN("sends of two terms overlap", flying[0] && flying[1] && term_of[0] < term_of[1])
  SHOWN("the second send is answered from memory", replayed && said[0] == OPEN && ledger == SUCCEEDED)
  SHOWN("sent again after a proof by absence", !honours && said[0] == GONE && ledger == SUCCEEDED)
  SHOWN("the send of a deposed leader acts", behind && sends == 1 && payments == 1)
  SHOWN("evidence of a deposed leader settles", brought && ledger == SUCCEEDED)
  SHOWN("the key is forgotten before the answer comes", honours && payments == 1 && memory == NOTHING && ANY(OPEN))
  od
}
