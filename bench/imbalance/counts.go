// Package imbalance says how unequal the categories of a real history are.
package imbalance

// Counts are the categories' sizes in a real history of 457,824 vacancies, the rarest first; of the twelve in the middle the
// smallest, the largest and the sum are known.
var Counts = []float64{
	189, 434, 1077, 2057, 3825, 6100, 7300, 8600, 10000, 11700, 13700, 15900, 19200, 22512, 25300, 29500, 31700, 31867, 33289, 52519, 62441, 68614,
}
