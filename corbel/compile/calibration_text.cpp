#include "corbel/compile/calibration.h"

namespace corbel {

std::string_view built_in_calibration_text() {
  static constexpr std::string_view kText = R"text(The ferry left the island at a quarter past six, when the
light was still grey and the gulls had not yet begun to quarrel. Martha counted the crates twice, as her father had
taught her: once going down the ramp and once when the rope was already loose. Forty-one. There should have been
forty-two. She looked at the list, at the water, and at the boy who was pretending to tie his shoe.

"You left one on the pier," she said.

"It was wet," said the boy. "I thought nobody would want it."

"Somebody wants everything. That is how a shop works." But she did not shout for the captain, because the crate held
nothing but lamp oil, and because the boy was seven years old and had carried forty-one of them.

Photosynthesis turns light into chemical energy. In the first stage, pigments in the membranes of the chloroplast absorb
photons and use their energy to split water; oxygen is released, and protons are pumped across the membrane. In the second
stage, the enzyme rubisco fixes carbon dioxide, and a cycle of reactions builds sugars from it. A plant that closes its
pores to save water also keeps carbon dioxide out, which is why deserts favour species that open them at night.

The treaty of 1648 ended a war that had lasted thirty years and had killed, by most estimates, between four and eight
million people. It did not invent the sovereign state, as is often written, but it let several hundred rulers conduct
their own affairs, and it moved the borders of France, Sweden and the Dutch Republic. Taxes rose; towns that had lost half
of their citizens took two generations to recover.

Question: What is 17 * 24, and how did you get it?
Answer: 17 * 24 = 408. Split 24 into 20 and 4: 17 * 20 = 340, 17 * 4 = 68, and 340 + 68 = 408.

Question: A train travels 180 km in 2 hours and 15 minutes. What is its average speed?
Answer: 2 hours 15 minutes are 2.25 hours. 180 / 2.25 = 80, so the average speed is 80 km/h.

User: My sourdough never rises. What am I doing wrong?
Assistant: There are three usual causes. First, the starter: it should double within six hours after you feed it; if it
does not, feed it twice a day for a week. Second, temperature: at 18 degrees a dough takes twice as long as at 25. Third,
flour: whole grain needs more water. Tell me which flour you use and how warm your kitchen is, and I can be more precise.
User: Rye, and about 19 degrees.
Assistant: Then give it time. Let it stand for ten to twelve hours, use 80 g of water for 100 g of flour, and bake it when
the surface shows small cracks. Rye does not form the gluten that holds wheat bread up, so expect a denser loaf.

def merge_intervals(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins overlapping intervals; the result is sorted."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged

#include <algorithm>
#include <vector>

// Returns the index of the first element that is not less than `key`, or values.size().
template <typename T>
std::size_t lower_index(const std::vector<T>& values, const T& key) {
  std::size_t low = 0, high = values.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (values[middle] < key) low = middle + 1; else high = middle;
  }
  return low;
}

SELECT c.name, COUNT(o.id) AS orders, SUM(o.total) AS revenue
FROM customers AS c LEFT JOIN orders AS o ON o.customer_id = c.id
WHERE o.created_at >= '2024-01-01' GROUP BY c.name HAVING SUM(o.total) > 1000 ORDER BY revenue DESC LIMIT 10;

{"name": "get_weather", "arguments": {"city": "Lisbon", "unit": "celsius", "days": 3}, "id": "call_7f31"}

| month    | rain (mm) | sun (h) |
|----------|-----------|---------|
| January  | 71.2      | 58      |
| April    | 48.9      | 167     |
| July     | 62.0      | 221     |
| October  | 80.4      | 109     |

1. Unplug the machine and let it cool for half an hour.
2. Remove the two screws under the tray (a 4 mm key fits both).
3. Lift the cover straight up; do not bend the cable behind it.
4. Clean the contacts with a dry cloth, never with water.
5. Put everything back in reverse order and run the self-test: hold "Start" for five seconds.

Der Zug nach Leipzig hat heute etwa zwanzig Minuten Verspaetung, weil auf der Strecke gebaut wird. Wir bitten um Ihr
Verstaendnis. Les enfants jouaient dans la cour quand la pluie a commence ; la maitresse les a fait rentrer un par un. La
biblioteca abre a las nueve de la manana y cierra a las ocho de la tarde, excepto los domingos. Il treno parte dal binario
quattro. O mercado fica ao lado da igreja, perto do rio.

To whom it may concern: I am writing to apply for the position of laboratory technician that was advertised on 12 March.
During the past four years I have maintained the spectrometers of a university department, trained students in their use,
and written the safety instructions that are now in force. I enclose my certificates and the names of two referees.

Theorem. There are infinitely many prime numbers. Proof. Suppose there were only finitely many, p1, ..., pn, and consider
N = p1 * p2 * ... * pn + 1. N is greater than 1, so some prime q divides it. If q were one of the pi, it would divide both
N and the product, hence their difference, which is 1; a contradiction. So q is a prime that was not on the list.

The market opened lower on Tuesday after the central bank left its rate at 4.25 percent. Shares in shipping companies fell
by as much as 6%, while two of the large grocers gained. "Nobody expected a cut, but everybody had hoped for a hint," said
an analyst, who asked not to be named. The yen was little changed at 151.3 to the dollar; oil traded at $78.40 a barrel.

In this step the model reads the whole prompt at once, which is called prefill; afterwards it produces one token after
another, which is called decode. The first is limited by arithmetic, the second by the speed of memory: every weight is
read once for each new token. Keys and values of earlier tokens are kept in a cache, so that they need not be computed
again. Storing the weights in four bits instead of sixteen makes decode almost four times as fast.

Once upon a time there lived, at the edge of a great forest, a miller who had three daughters and a donkey that could
count. People came from far away to ask the donkey how old they would become, and it stamped its hoof on the stones, once
for each year. One day a king came. The donkey looked at him for a long time and did not stamp at all. "Well?" said the
king. "It says that you may choose," said the youngest daughter, quickly, for she was the cleverest of the three.

Patient reports intermittent pain in the left knee for six weeks, worse when climbing stairs, without swelling or fever.
No previous injury. Examination: full range of motion, slight crepitus, negative drawer test. Plan: exercises to strengthen
the thigh, weight-bearing as tolerated, review in four weeks; imaging only if there is no improvement.

Dear Sam, thank you for the photographs! The one with the three of you on the bridge is already on my wall. Here it has
rained for nine days, and the cellar has become a pond; the neighbours lent us a pump, and in return I repaired their
radio. I start the new job on Monday. Wish me luck, and write soon. Yours, Eleni

$ git log --oneline -3
9f2c1ab parser: accept numbers with a leading plus
51d07e3 tests: compare with the old parser on random input
c0ffee1 docs: say where the grammar differs
$ make test
[  PASSED  ] 214 tests.
Error: cannot open "results.csv": permission denied (errno 13)

<!DOCTYPE html>
<html><head><title>Opening hours</title></head>
<body><h1>Opening hours</h1><ul><li>Mon-Fri: 9:00-18:00</li><li>Sat: 10:00-14:00</li></ul></body></html>

Is a hot dog a sandwich? It depends on what the word is for. If a sandwich is a filling between two pieces of bread, the
hinge of the roll decides; if it is whatever people order when they ask for one, then hardly anybody means a sausage. Most
quarrels about definitions end sooner when somebody says what would follow from the answer.
)text";
  return kText;
}

}  // namespace corbel
